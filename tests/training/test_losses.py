"""The losses are the distances they are named after."""

import pytest
import torch
from torch.nn.functional import one_hot

from scnas_deploy.training.losses import deeply_supervised, dice_loss, jaccard_distance


def certain(classes, num_classes=3):
    """Logits whose softmax is one-hot."""
    return 200.0 * (one_hot(classes, num_classes).movedim(-1, 1).float() - 0.5)


@pytest.fixture
def classes():
    return torch.randint(0, 3, (2, 6, 5, 4), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("plain", [False, True])
def test_a_perfect_answer_costs_nothing_and_a_disjoint_one_everything(classes, plain):
    assert jaccard_distance(certain(classes), classes, plain=plain).item() == pytest.approx(0, abs=1e-6)
    assert jaccard_distance(certain((classes + 1) % 3), classes, plain=plain).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("plain", [False, True])
def test_it_equals_one_minus_intersection_over_union_of_hard_masks(classes, plain):
    answer = torch.where(torch.rand(classes.shape, generator=torch.Generator().manual_seed(1)) < 0.3, 0, classes)
    expected = [
        1 - (((answer[b] == k) & (classes[b] == k)).sum() / ((answer[b] == k) | (classes[b] == k)).sum()).item()
        for b in range(2)
        for k in range(3)
    ]
    distance = jaccard_distance(certain(answer), classes, plain=plain).item()
    assert distance == pytest.approx(sum(expected) / 6, abs=1e-4)


def test_tanimoto_squares_the_probabilities(classes):
    logits = torch.randn(2, 3, 6, 5, 4, generator=torch.Generator().manual_seed(2))
    p, t = logits.softmax(dim=1).flatten(2), one_hot(classes, 3).movedim(-1, 1).flatten(2)
    overlap = (p * t).sum(-1)
    expected = (1 - overlap / (t.pow(2).sum(-1) + p.pow(2).sum(-1) - overlap)).mean()
    assert jaccard_distance(logits, classes).item() == pytest.approx(expected.item(), abs=1e-4)


def test_the_loss_of_a_batch_is_the_mean_over_its_samples(classes):
    logits = torch.randn(2, 3, 6, 5, 4)
    apart = [jaccard_distance(logits[i : i + 1], classes[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(jaccard_distance(logits, classes), torch.stack(apart).mean())


def test_descending_it_leads_to_the_truth(classes):
    logits = torch.zeros(2, 3, 6, 5, 4, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        jaccard_distance(logits, classes).backward()
        optimizer.step()
    assert torch.equal(logits.argmax(dim=1), classes)


def test_the_dice_loss_is_one_minus_the_dice_of_hard_masks(classes):
    answer = torch.where(torch.rand(classes.shape, generator=torch.Generator().manual_seed(1)) < 0.3, 0, classes)
    expected = [
        1 - 2 * ((answer[b] == k) & (classes[b] == k)).sum() / ((answer[b] == k).sum() + (classes[b] == k).sum())
        for b in range(2)
        for k in range(3)
    ]
    assert dice_loss(certain(answer), classes).item() == pytest.approx(sum(map(float, expected)) / 6, abs=1e-4)


def test_deep_supervision_weighs_each_map_half_as_much_as_the_finer_one(classes):
    right, wrong = certain(classes), certain((classes + 1) % 3)
    for maps, expected in (((right, wrong, wrong), 3 / 7), ((wrong, right, right), 4 / 7), ((wrong,), 1)):
        assert deeply_supervised(jaccard_distance, maps, classes).item() == pytest.approx(expected, abs=1e-4)
