"""A study in any orientation comes back on its own grid, and a mirrored result would be noticed.

The network is replaced by a threshold; everything around it is real: NIfTI on disk, preparing at another
spacing, patches, restoring, NIfTI on disk again.
"""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.nifti import load_nifti, save_labels
from scnas_deploy.data.plan import Channel, ClippedZScore, InputLimits, Label, Plan
from scnas_deploy.data.preprocess import prepare
from scnas_deploy.data.volume import Volume
from scnas_deploy.inference.predictor import Predictor
from scnas_deploy.training.evaluation import dice

SPACING_MM = (0.8, 1.3, 2.1)
"""Of the study: at least 1.5 apart between axes, and from the plan's."""
SHAPE = (76, 64, 60)
ORIENTATIONS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]
WIDE = ((0.0, 1000.0),) * 3
PLAN = Plan(
    name="threshold",
    dataset_fingerprint="0" * 64,
    spacing_mm=(1.3, 0.8, 1.35),
    patch_size=(48, 56, 40),
    crop="nonzero",
    channels=(Channel(name="CT", normalisation=ClippedZScore(low=0, high=300, mean=0, std=100)),),
    labels=(Label(value=2, name="ellipsoid", color="#ff0000"), Label(value=5, name="wedge", color="#00ff00")),
    mirror_axes=(),
    limits=InputLimits(spacing_mm=WIDE, extent_mm=WIDE, intensity=(None,)),
)


class ThresholdFake:
    """Stands in for a network: dark is the first label, bright the second, background lies between them.

    In between, so that interpolation from one structure to background never passes through the other.
    """

    name, precision, device, preferred_batch, concurrency = "threshold", "float32", "CPU", 2, 1

    def run(self, patches_BCXYZ):
        value = patches_BCXYZ[:, 0]
        return np.stack([-np.abs(value - level) for level in (2, 1, 3)], axis=1)


def asymmetric_phantom():
    """Labels without any symmetry, structures over 20 voxels across; intensities 100, 200 (background) and 300."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[((x - 24) / 18) ** 2 + ((y - 22) / 14) ** 2 + ((z - 20) / 13) ** 2 < 1] = 2
    wedge = (x > 40) & (x < 70) & (y > 28) & (y < 58) & (z > 22) & (z < 54)
    labels[wedge & (2 * (x - 40) + (y - 28) + (z - 22) < 74)] = 5
    image = np.choose(np.searchsorted([2, 5], labels, side="right"), [200, 100, 300]).astype(np.int16)
    image[:3] = image[:, -4:] = 0  # something to crop
    return image, labels


def oblique_affine(shear=0.0):
    """Rotated by 25 degrees about a skew axis, off the origin."""
    axis = np.array([1.0, 2.0, -1.5]) / np.linalg.norm([1.0, 2.0, -1.5])
    angle = np.deg2rad(25)
    cross = np.cross(np.eye(3), axis)
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(SPACING_MM) @ (np.eye(3) + shear * np.eye(3, k=1))
    affine[:3, 3] = (-40, 17, 63)
    return affine


def reoriented(voxels, affine, axes, signs):
    """The same patient stored with other axes: voxels permuted and flipped, affine to match."""
    image = nib.Nifti1Image(voxels, affine)
    return image.as_reoriented(np.array([[axes.index(axis), signs[axis]] for axis in range(3)]))


def segment_file(path, target):
    volume = load_nifti(path)
    prepared, way_back = prepare(volume, PLAN)
    labels = way_back.restore(Predictor(ThresholdFake(), PLAN).predict(prepared))
    save_labels(target, labels, volume)
    return volume


def scores(truth, found):
    return [dice(truth == label.value, found == label.value) for label in PLAN.labels]


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_each_of_the_48_orientations_comes_back_on_its_own_grid(tmp_path, axes, signs):
    image, labels = asymmetric_phantom()
    stored = reoriented(image, oblique_affine(), axes, signs)
    truth = np.asanyarray(reoriented(labels, oblique_affine(), axes, signs).dataobj)
    nib.save(stored, tmp_path / "study.nii.gz")
    segment_file(tmp_path / "study.nii.gz", tmp_path / "labels.nii.gz")
    result = nib.load(tmp_path / "labels.nii.gz")
    found = np.asanyarray(result.dataobj)
    assert found.shape == stored.shape
    np.testing.assert_allclose(result.affine, stored.affine, atol=1e-4)
    assert min(scores(truth, found)) >= 0.95
    for axis in range(3):
        assert min(scores(truth, np.flip(found, axis))) < 0.95


def test_the_48_orientations_are_48():
    affines = {
        "".join(nib.aff2axcodes(reoriented(np.zeros(SHAPE, np.uint8), np.diag([1.0, 1, 1, 1]), axes, signs).affine))
        for axes, signs in ORIENTATIONS
    }
    assert len(affines) == 48


def test_a_sheared_grid_comes_back_too(tmp_path):
    image, labels = asymmetric_phantom()
    nib.save(nib.Nifti1Image(image, oblique_affine(shear=0.15)), tmp_path / "study.nii")
    segment_file(tmp_path / "study.nii", tmp_path / "labels.nii")
    result = nib.load(tmp_path / "labels.nii")
    np.testing.assert_allclose(result.affine, oblique_affine(shear=0.15), atol=1e-4)
    assert min(scores(labels, np.asanyarray(result.dataobj))) >= 0.95


def test_structures_keep_their_place_in_the_patient():
    """Centroids in millimetres, which no choice of axes can hide behind."""
    image, labels = asymmetric_phantom()
    expected = centroid_mm(labels, oblique_affine())
    for axes, signs in ORIENTATIONS[::7]:
        stored = reoriented(image, oblique_affine(), axes, signs)
        volume = Volume(data=np.asanyarray(stored.dataobj)[None], affine_ras=stored.affine)
        prepared, way_back = prepare(volume, PLAN)
        found = way_back.restore(Predictor(ThresholdFake(), PLAN).predict(prepared))
        np.testing.assert_allclose(centroid_mm(found, volume.affine_ras), expected, atol=0.1)


def centroid_mm(labels, affine):
    return affine[:3, :3] @ np.argwhere(labels == 2).mean(axis=0) + affine[:3, 3]
