"""What is corrected lies where it lay in the patient, and a mask finds its way back to the planes."""

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import scan
from tests.data.dicom.real_series import canonical, canonical_file
from tests.dicom_drawing import Drawing, Grid

BOTH = ("resample-gaps", "shear-tilt")


def read(path, allow=BOTH):
    (series,) = scan([path]).series
    return read_series(series, allow)


def brightest(voxels, affine):
    """Centroid of what is bright, RAS+ mm."""
    weights = voxels.astype(float) * (voxels > 400)
    index = np.array(
        [np.average(np.arange(n), weights=weights.sum(tuple({0, 1, 2} - {k}))) for k, n in enumerate(weights.shape)]
    )
    return (affine @ [*index, 1.0])[:3]


def ball(grid: Grid) -> np.ndarray:
    """A ball in the patient, sampled where the planes lie; LPS+ centre (-23.5, 20.3, 71) and radius 5 mm."""
    columns, rows, planes = grid.shape
    voxels = np.empty(grid.shape)
    for index in range(planes):
        x, y = np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij")
        place = grid.position(index) + (
            x[..., None] * grid.spacing_mm[0] * np.array(grid.row)
            + y[..., None] * grid.spacing_mm[1] * np.array(grid.column)
        )
        distance = np.linalg.norm(place - (-23.5, 20.3, 71.0), axis=-1)
        voxels[..., index] = np.clip(6 - distance, 0, 1) * 1000
    return voxels.astype(np.int16)


@pytest.mark.parametrize(
    ("grid", "allow"),
    [
        (Grid(shift_mm=(0.0, 0.7)), ("shear-tilt",)),
        (Grid(shift_mm=(-0.45, 0.3)), ("shear-tilt",)),
        (Grid(heights_mm=[0, 2.5, 5, 7.5, 10, 15, 17.5, 20, 22.5, 25, 27.5, 30]), ("resample-gaps",)),
        (Grid(shift_mm=(0.3, -0.5), heights_mm=[0, 2.5, 5, 7.5, 10, 15, 17.5, 20, 22.5, 25, 27.5, 30]), BOTH),
    ],
    ids=["tilt", "tilt both ways", "gap", "both"],
)
def test_a_structure_stays_where_it_is_in_the_patient(tmp_path, grid, allow):
    voxels = ball(grid)

    def draw(objects):
        for index, dataset in enumerate(objects):
            dataset.PixelData = np.ascontiguousarray(voxels[..., index].T.astype("<i2")).tobytes()
        return objects

    volume = read(Drawing(grid=grid, intercept=0).save(tmp_path, draw))
    assert volume.dicom.corrections == tuple(sorted(allow, reverse=True))
    assert brightest(volume.data[0], volume.affine_ras) == pytest.approx([23.5, -20.3, 71.0], abs=0.25)
    directions = volume.affine_ras[:3, :3] / np.linalg.norm(volume.affine_ras[:3, :3], axis=0)
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-9)


def test_a_mask_comes_back_to_the_planes_it_was_seen_on(tmp_path):
    grid = Grid(shift_mm=(0.3, -0.5), heights_mm=[0, 2.5, 5, 7.5, 10, 15, 17.5, 20, 22.5, 25, 27.5, 30])
    voxels = ball(grid)

    def draw(objects):
        for index, dataset in enumerate(objects):
            dataset.PixelData = np.ascontiguousarray(voxels[..., index].T.astype("<i2")).tobytes()
        return objects

    volume = read(Drawing(grid=grid, intercept=0).save(tmp_path, draw))
    back = volume.dicom.on_planes((volume.data[0] > 500).astype(np.uint8))
    there = voxels.transpose(2, 1, 0) > 500
    assert back.shape == there.shape
    assert 2 * (back & there).sum() / (back.sum() + there.sum()) > 0.93


def test_the_tilted_ct_becomes_upright_as_dcm2niix_has_it(scnas_data):
    root = scnas_data / "dicom" / "ct_tilt_variable_gap"
    volume = read(root / "In")
    theirs, their_affine = canonical_file(root / "Ref" / "tilt_and_gap_corrected.nii.gz")
    ours, our_affine = canonical(volume.data[0], volume.affine_ras)
    bone = [np.argwhere(voxels > 700).mean(axis=0) for voxels in (ours, theirs)]
    here, there = (
        affine[:3, :3] @ index + affine[:3, 3] for affine, index in zip((our_affine, their_affine), bone, strict=True)
    )
    assert nib.aff2axcodes(our_affine) == nib.aff2axcodes(their_affine)
    assert np.linalg.norm(here - there) < 3
