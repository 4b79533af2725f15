"""scnas view: masks of every form lie where they belong, or are refused."""

import os
import re
import signal
import subprocess
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from scnas_deploy.cli.view_layers import NamedMask, layers_of, named_labels
from scnas_deploy.cli.view_masks import read_mask, referenced_series
from scnas_deploy.cli.view_study import read_study
from scnas_deploy.data.dicom.choice import BY_RULES, SeriesChoice
from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.data.plan import Label
from scnas_deploy.errors import ChoiceError, ConfigError, FormatError, GeometryError
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results.formats import Format, write_results
from tests.browser import WatchedPage
from tests.dicom_drawing import Drawing, Grid, _set_pixels
from tests.pages.viewer_phantom import LABEL, Phantom, oriented
from tests.pages.viewer_window import ViewerWindow, middle, overlap

SHAPE = (64, 72, 28)
AXIAL = Grid(shape=SHAPE, spacing_mm=(1.0, 1.0), distance_mm=2.0, origin_mm=(-31.5, -35.5, -27.0))
CORONAL = Grid(
    shape=(64, 56, 36),
    spacing_mm=(1.0, 1.0),
    distance_mm=2.0,
    origin_mm=(-31.5, -35.0, 27.5),
    column=(0.0, 0.0, -1.0),
)
TURNED = replace(AXIAL, row=(0.98480775, 0.17364818, 0.0), column=(-0.17364818, 0.98480775, 0.0))
GRIDS = {"axial": AXIAL, "coronal": CORONAL, "oblique": TURNED}


def draw_study(folder: Path, grid: Grid = AXIAL, name: str = "drawn", study: str = "study") -> Path:
    """Write the phantom as a DICOM series."""
    phantom = Phantom(grid.shape, grid.affine_ras())

    def with_phantom(objects):
        for index, each in enumerate(objects):
            _set_pixels(each, (phantom.values[..., index] + 1024).T.astype(np.int16))
        return objects

    return Drawing(grid=grid, name=name, study=study).save(folder, with_phantom)


def result_of(folder: Path) -> Segmentation:
    volume = read_study(folder, None, BY_RULES, ())
    phantom = Phantom(volume.shape, volume.affine_ras)
    return Segmentation(
        labels_XYZ=phantom.labels,
        study=volume,
        labels=(LABEL, Label(value=6, name="absent", color="#00ff00")),
        model_name="drawn",
        model_digest="0123456789abcdef" * 4,
        engine="none 1.0",
        outside_limits=(),
    )


@pytest.fixture(scope="module", params=GRIDS)
def written(request, tmp_path_factory):
    """A drawn study, and its mask in all forms."""
    folder = tmp_path_factory.mktemp("study")
    study = draw_study(folder, GRIDS[request.param])
    result = result_of(study)
    write_results(result, folder / "out", tuple(Format))
    return study, folder / "out", result


# ---- where masks lie


@pytest.mark.parametrize("name", ["seg.dcm", "labelmap.dcm", "rtstruct.dcm", "labels.nii.gz"])
def test_each_form_becomes_the_same_layer(written, name):
    _, out, result = written
    (layer,) = read_mask(out / name, "Prediction", result.study, (LABEL,))
    (beacon,) = layer.labels  # and nothing is called background
    assert beacon.name == LABEL.name
    np.testing.assert_array_equal(layer.labels_XYZ == beacon.value, result.labels_XYZ == LABEL.value)
    assert beacon.color == LABEL.color


def test_a_dicom_study_is_shown_on_its_side(written, browser, tmp_path, scnas):
    study, out, _ = written
    said = scnas("view", study, out / "seg.dcm", "--truth", out / "rtstruct.dcm", "--save", tmp_path / "page.html")
    assert said.stdout.startswith("Wrote ")
    shown = ViewerWindow(browser, tmp_path / "page.html")
    shown.watched.picture(tmp_path, f"dicom-{study.parent.name}")

    assert shown.page.locator("tbody td").nth(2).inner_text() == "1.0000"
    assert_on_its_side(shown)
    shown.page.select_option("#preset", label="Bone (400, 1800)")
    assert (shown.page.input_value("#level"), shown.page.input_value("#width")) == ("400", "1800")
    shown.close()


def assert_on_its_side(shown: ViewerWindow) -> None:
    """The L lies at the left and top of every plane: right, front and head; and on what is bright."""
    shown.bare()
    for plane in ("axial", "coronal", "sagittal"):
        shown.view(plane)
        shown.opacity(100)
        red = shown.red()
        shown.opacity(0)
        assert red.sum() > 1000
        assert overlap(red, shown.bright()) > 0.9
        assert (-middle(red) > 20).all()


def test_a_nifti_study_is_shown_on_its_side(browser, tmp_path, scnas):
    image, mask = oriented("LPS", turn_degrees=8).save(tmp_path)
    scnas("view", image, mask, "--save", tmp_path / "page.html")
    page = tmp_path / "page.html"
    page.write_text(page.read_text().replace("#e69f00", "#ff0000"))  # of a label that nobody names
    shown = ViewerWindow(browser, page)
    assert "Prediction: label 5" in shown.say()
    assert_on_its_side(shown)
    shown.close()


def test_a_mask_whose_rows_run_the_other_way_is_turned(tmp_path):
    image, _ = oriented("LAS").save(tmp_path)
    volume = load_nifti(image)
    (tmp_path / "other").mkdir()
    _, mask = oriented("RPS").save(tmp_path / "other")
    (layer,) = read_mask(mask, "Prediction", volume, ())
    np.testing.assert_array_equal(layer.labels_XYZ, oriented("LAS").labels)


def test_a_real_rtstruct_equals_its_nifti(scnas_data, scnas, tmp_path):
    folder = scnas_data / "dicom" / "STS_002"
    (contours,) = (folder / "CT" / "mask").iterdir()
    truth = folder / "nifti_ref" / "CT_mask.nii.gz"
    scnas("view", folder / "CT" / "image", contours, "--truth", truth, "--save", tmp_path / "page.html")
    scores = re.findall(r"<td>([01]\.\d{4})</td>", (tmp_path / "page.html").read_text())
    assert float(scores[0]) > 0.999


# ---- which series


def test_of_several_series_the_one_that_a_mask_was_made_on_is_shown(tmp_path):
    first, second = draw_study(tmp_path, AXIAL, "first"), draw_study(tmp_path, TURNED, "second")
    write_results(result_of(second), tmp_path.parent / "out", (Format.SEG, Format.RTSTRUCT))
    uids = {referenced_series(tmp_path.parent / "out" / name) for name in ("seg.dcm", "rtstruct.dcm")}
    assert len(uids) == 1
    volume = read_study(tmp_path, None, BY_RULES, [*uids])
    np.testing.assert_allclose(volume.affine_ras, TURNED.affine_ras(), atol=1e-4)
    with pytest.raises(ChoiceError, match=r"1: CT, 28 object\(s\); 2: CT, 28 object\(s\)"):
        read_study(tmp_path, None, BY_RULES, [])
    named = read_study(tmp_path, None, SeriesChoice(named=(pydicom.dcmread(first / "0000.dcm").SeriesInstanceUID,)), [])
    np.testing.assert_allclose(named.affine_ras, AXIAL.affine_ras(), atol=1e-4)


# ---- what is refused


def test_a_mask_of_another_study_or_place_is_refused(tmp_path):
    study = result_of(draw_study(tmp_path / "one"))
    other = result_of(draw_study(tmp_path / "two", study="another"))
    moved = result_of(draw_study(tmp_path / "three", replace(AXIAL, origin_mm=(-31.5, -35.5, -26.0))))
    write_results(other, tmp_path / "other", (Format.SEG, Format.RTSTRUCT))
    write_results(moved, tmp_path / "moved", (Format.SEG, Format.NIFTI))
    for path, found in (
        (tmp_path / "other" / "seg.dcm", "one of another study"),
        (tmp_path / "other" / "rtstruct.dcm", "one of another study"),
        (tmp_path / "moved" / "seg.dcm", "one that lies 1 mm from the next plane"),
        (tmp_path / "moved" / "labels.nii.gz", "voxels that lie up to 1 mm elsewhere"),
    ):
        with pytest.raises(GeometryError, match=found):
            read_mask(path, "Prediction", study.study, ())


def test_a_mask_in_another_frame_of_reference_is_refused(tmp_path):
    result = result_of(draw_study(tmp_path))
    (path,) = write_results(result, tmp_path / "out", (Format.SEG,))
    dataset = pydicom.dcmread(path)
    dataset.FrameOfReferenceUID = "1.2.3"
    dataset.save_as(path)
    with pytest.raises(GeometryError, match="the study's frame of reference"):
        read_mask(path, "Prediction", result.study, ())


def test_what_is_no_mask_is_refused(tmp_path):
    folder = draw_study(tmp_path)
    volume = read_study(folder, None, BY_RULES, ())
    (tmp_path / "text.dcm").write_text("no DICOM")
    for path, found in (
        (folder / "0000.dcm", "another kind of DICOM object"),
        (tmp_path / "text.dcm", "no DICOM object"),
        (tmp_path / "missing.dcm", "no such file"),
    ):
        with pytest.raises(FormatError, match=found):
            read_mask(path, "Prediction", volume, ())
    image, _ = oriented("RAS").save(tmp_path)
    (path,) = write_results(result_of(folder), tmp_path / "out", (Format.SEG,))
    with pytest.raises(GeometryError, match="a NIfTI file"):
        read_mask(path, "Prediction", load_nifti(image), ())
    with pytest.raises(ConfigError, match="--series"):
        read_study(image, None, SeriesChoice(named=("1",)), [])


def test_options_that_do_not_go_together_are_refused(scnas, tmp_path):
    image, mask = oriented("RAS").save(tmp_path)
    scnas.refused("view", image, mask, mask, "--truth", mask, status=2)
    scnas.refused("view", image, "--save", "page.txt", status=2)
    scnas.refused("view", image, "--save", "page.html", "--no-browser", status=2)
    scnas.refused("segment", image, "--no-browser", status=2)


# ---- names


def test_labels_are_known_where_they_name_all_values():
    known = (Label(value=1, name="front", color="#111111"), Label(value=2, name="back", color="#222222"))
    assert named_labels([2], known) == known
    assert [label.name for label in named_labels([1, 3], known)] == ["label 1", "label 3"]
    assert named_labels([], known) == ()


def test_structures_that_overlap_become_layers_in_which_none_hides_another():
    masks = [np.zeros((4, 1, 1), dtype=bool) for _ in range(3)]
    masks[0][:2], masks[1][1:3], masks[2][3:] = True, True, True
    first, second = layers_of("Prediction", [NamedMask("same", None, mask) for mask in masks], (4, 1, 1))
    assert (first.name, second.name) == ("Prediction", "Prediction (2)")
    assert first.labels_XYZ.ravel().tolist() == [1, 1, 0, 3]
    assert second.labels_XYZ.ravel().tolist() == [0, 2, 2, 0]
    assert [label.name for label in (*first.labels, *second.labels)] == ["same", "same #3", "same #2"]


# ---- after segmenting


@pytest.mark.soak
def test_segment_view_shows_the_result_until_it_is_interrupted(with_model, study, browser, tmp_path):
    process = subprocess.Popen(
        [with_model.program, "segment", study, "-o", "out.nii.gz", "--view", "--no-browser"],
        cwd=with_model.folder,
        env={**os.environ, "SCNAS_MODELS": str(with_model.models)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = next(line.strip() for line in process.stdout if line.startswith("http://127.0.0.1:"))
        assert (with_model.folder / "out.nii.gz").exists()
        assert b"front" in urllib.request.urlopen(address).read()
        watched = WatchedPage(browser)
        watched.open(address).wait_for_selector("html[data-viewer=shown]", timeout=60_000)
        watched.picture(tmp_path, "segmented")
        watched.require_clean(address)
        watched.close()
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)
    assert process.returncode == 0, said
