"""A dataset drawn by formula, for machines without a real one.

Each case holds two adjacent structures, a front and a back one, that vary in size, place and tilt, with
blurred boundaries, a smooth bias field and noise, in MSD layout.
"""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter, zoom

LABELS = {1: "front", 2: "back"}


def draw_dataset(root: Path, *, num_cases: int = 30, seed: int = 0) -> Path:
    """Draw a dataset of ``num_cases`` cases into ``root`` and return it."""
    rng = np.random.default_rng(seed)
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(num_cases):
        name = f"phantom_{number:03d}.nii.gz"
        image, labels, affine = draw_case(rng)
        nib.save(nib.Nifti1Image(image, affine), root / "imagesTr" / name)
        nib.save(nib.Nifti1Image(labels, affine), root / "labelsTr" / name)
        entries.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    description = {
        "name": "Phantom",
        "description": "Two adjacent structures drawn by formula",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", **{str(value): name for value, name in LABELS.items()}},
        "numTraining": num_cases,
        "numTest": 0,
        "training": entries,
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
    return root


def draw_case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one case: image float32, labels uint8, affine."""
    shape = rng.integers((32, 44, 32), (40, 56, 40))
    points = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"), axis=-1)
    points = (points - rng.normal(0, 2, 3)) @ _tilt(rng)
    radii = rng.uniform((7, 16, 7), (10, 20, 10))
    inside = ((points / radii) ** 2).sum(axis=-1) < 1
    border = rng.uniform(-4, 4) + 2 * np.sin(points[..., 0] / 4)
    labels = np.where(inside, np.where(points[..., 1] > border, 1, 2), 0).astype(np.uint8)
    contrast = np.array([1.0, rng.uniform(1.5, 1.8), rng.uniform(2.2, 2.6)])[labels]
    bias = zoom(rng.normal(1, 0.12, (3, 3, 3)), shape / 3, order=2, mode="nearest")
    image = gaussian_filter(contrast, 0.8) * bias + rng.normal(0, 0.12, shape)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    return (image * rng.uniform(100, 1000)).astype(np.float32), labels, affine


def _tilt(rng: np.random.Generator) -> np.ndarray:
    """A small random rotation: the orthogonal factor of a nearly identical matrix."""
    rotation, upper = np.linalg.qr(np.eye(3) + rng.normal(0, 0.12, (3, 3)))
    return rotation * np.sign(np.diag(upper))
