"""Training: prepared cases, patches, augmentation, loss, the training loop, folds and evaluation."""
