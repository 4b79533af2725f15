"""The viewer's page: what it shows lies on the patient's right side, by the pixels of its pictures."""

import base64
import gzip
import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.data.plan import Label
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import CapacityError, FormatError, GeometryError
from scnas_deploy.pages.viewer import Layer, Scene, viewer_page
from tests.browser import WIDTHS
from tests.pages.viewer_phantom import FIELD_MM, LABEL, oriented, places
from tests.pages.viewer_window import ViewerWindow, middle, overlap

GRIDS = {
    "RAS": oriented("RAS"),
    "LAS": oriented("LAS"),
    "permuted": oriented("SLP"),
    "oblique": oriented("LPS", turn_degrees=17),
}
PLANES = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}
"""Patient's axes that run to the left and up in the picture: right, front, top."""
EVIL = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
HIPPOCAMPUS = (Label(value=1, name="anterior", color="#e6194b"), Label(value=2, name="posterior", color="#3cb44b"))


def scene_of(phantom, **more) -> Scene:
    layer = Layer(name="Prediction", labels_XYZ=phantom.labels, labels=(LABEL,))
    return Scene(**{"title": "Phantom", "volume": phantom.volume(), "layers": (layer,), **more})


@pytest.fixture
def window(browser, tmp_path):
    """Opens pages of scenes."""
    opened = []

    def open_page(scene: Scene, width: int = 1280) -> ViewerWindow:
        path = tmp_path / f"page-{len(opened)}.html"
        path.write_text(viewer_page(scene))
        opened.append(ViewerWindow(browser, path, width))
        return opened[-1]

    yield open_page
    for each in opened:
        each.close()


@pytest.mark.parametrize("name", GRIDS)
def test_a_mask_lies_on_its_structure_and_on_its_side(window, tmp_path, name):
    shown = window(scene_of(GRIDS[name]))
    shown.watched.picture(tmp_path, f"phantom-{name}")
    shown.bare()
    for plane, axes in PLANES.items():
        shown.view(plane)
        shown.opacity(100)
        red = shown.red()
        shown.opacity(0)
        bright = shown.bright()
        assert red.sum() > 1000
        assert overlap(red, bright) > 0.9
        left, up = -middle(red)
        assert left > 20  # the patient's right in axial and coronal, the front in sagittal
        assert up > 20  # the front in axial, the head in coronal and sagittal
        if name != "oblique":
            millimetre = min(red.shape[1] / FIELD_MM[axes[0]], red.shape[0] / FIELD_MM[axes[1]])
            np.testing.assert_allclose(np.array([left, up]) / millimetre, cut_middle(GRIDS[name], *axes), atol=1.2)


def cut_middle(phantom, *axes: int) -> list[float]:
    """Where the middle of the L lies in the plane through its voxel nearest its centre of mass, mm."""
    points = places(phantom.shape, phantom.affine_ras)[phantom.mask]
    centre = points.mean(axis=0)
    focus = points[((points - centre) ** 2).sum(axis=1).argmin()]
    (through,) = {0, 1, 2} - set(axes)
    cut = points[np.isclose(points[:, through], focus[through])]
    return [float(cut[:, axis].mean()) for axis in axes]


def test_the_position_is_the_patients(window):
    shown = window(scene_of(GRIDS["oblique"]))
    said = re.match(
        r"([RL]) ([\d.]+), ([AP]) ([\d.]+), ([SI]) ([\d.]+) mm · value 1000 · Prediction: beacon", shown.say()
    )
    found = [float(said[2 * k + 2]) * (1 if said[2 * k + 1] in "RAS" else -1) for k in range(3)]
    points = places(GRIDS["oblique"].shape, GRIDS["oblique"].affine_ras)[GRIDS["oblique"].mask]
    assert np.abs(points - found).sum(axis=1).min() < 0.2


def test_keys_and_sliders_move_by_one_voxel(window):
    shown = window(scene_of(GRIDS["RAS"]))
    before = shown.slices()
    shown.page.focus("#canvas")
    for key in ("ArrowLeft", "ArrowUp", "ArrowUp", "PageUp"):
        shown.page.keyboard.press(key)
    assert shown.slices() == [before[0] + 1, before[1] + 2, before[2] + 1]
    shown.page.keyboard.press("v")  # NiiVue's own key for another view
    assert shown.page.is_checked("input[value=all]")
    assert shown.page.evaluate("viewer.opts.sliceType") == 3
    shown.page.locator("#slice-2").fill("1")
    assert shown.slices()[2] == 1
    shown.page.click("button.go")
    assert shown.slices() == before


def test_structures_opacity_outlines_and_window(window):
    shown = window(scene_of(GRIDS["RAS"]))
    shown.bare()
    shown.view("axial")
    shown.opacity(100)
    filled = shown.red().sum()
    shown.page.check("#outlines")
    outlined = shown.red().sum()
    assert 0 < outlined < 0.8 * filled
    shown.page.uncheck("#outlines")
    shown.page.uncheck(".structure-shown")
    assert shown.red().sum() == 0
    shown.page.check(".structure-shown")
    shown.page.uncheck(".layer-shown")
    assert shown.red().sum() == 0
    assert shown.bright().sum() > 1000
    shown.page.locator("#level").fill("5000")
    assert shown.bright().sum() == 0
    shown.page.select_option("#preset", "")
    assert shown.bright().sum() > 1000


@pytest.mark.parametrize("width", WIDTHS)
def test_a_real_study_with_its_truth(window, scnas_data, tmp_path, width):
    folder = scnas_data / "Task04_Hippocampus"
    name = sorted(path.name for path in (folder / "imagesTr").glob("hippocampus*"))[0]
    truth = load_nifti(folder / "labelsTr" / name).data[0].astype(np.uint8)
    layers = tuple(
        Layer(name=title, labels_XYZ=labels, labels=HIPPOCAMPUS)
        for title, labels in (("Prediction", np.roll(truth, 1, axis=1)), ("Truth", truth))
    )
    volume = load_nifti(folder / "imagesTr" / name)
    shown = window(Scene(title="Study", volume=volume, layers=layers, facts=(("Model", "hippocampus"),)), width)
    cells = shown.page.locator("tbody tr").nth(0).locator("td").all_inner_texts()
    assert float(cells[1]) == pytest.approx((truth == 1).sum() / 1000, abs=1e-3)
    moved = layers[0].labels_XYZ == 1
    assert float(cells[2]) == pytest.approx(2 * (moved & (truth == 1)).sum() / (2 * (truth == 1).sum()), abs=1e-4)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    shown.watched.picture(tmp_path, f"hippocampus-{width}")
    shown.watched.require_accessible()
    shown.page.uncheck(".layer-shown[data-layer='0']")
    shown.page.check(".layer-shown[data-layer='2']")
    shown.page.locator(".go[data-layer='2'][data-structure='2']").click()
    assert "Differences: only in the prediction" in shown.say()
    shown.watched.picture(tmp_path, f"hippocampus-differences-{width}")


def test_a_window_that_is_folded_up_comes_back(window):
    shown = window(scene_of(GRIDS["RAS"]))
    before = shown.red().sum()
    for width in ("0", "3px", ""):
        shown.page.evaluate(f"document.querySelector('.canvas').style.width = '{width}'; nextFrame().then(nextFrame)")
        shown.page.wait_for_timeout(100)
    assert shown.red().sum() == before > 100


def test_unknown_sides_are_said_and_no_letters_shown(window, tmp_path):
    volume = replace(GRIDS["RAS"].volume(), orientation_known=False)
    shown = window(scene_of(GRIDS["RAS"], volume=volume))
    assert "sides are not known" in shown.page.inner_text("header")
    assert shown.page.locator("#letters span").all_inner_texts() == ["Axial", "Coronal", "Sagittal"]
    assert not re.match("[RL] ", shown.say())


def test_text_stays_text(window):
    layer = Layer(name=EVIL, labels_XYZ=GRIDS["RAS"].labels, labels=(LABEL.model_copy(update={"name": EVIL}),))
    shown = window(scene_of(GRIDS["RAS"], title=EVIL, layers=(layer,), facts=((EVIL, EVIL),)))
    assert shown.page.inner_text("h1").startswith("</script>")
    assert shown.page.evaluate("window.evil") is None


def test_without_webgl_the_page_says_so_and_keeps_its_table(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(viewer_page(scene_of(GRIDS["RAS"])))
    context = browser.new_context()
    context.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-viewer=failed]")
    assert "WebGL 2" in page.inner_text("[role=alert]")
    assert page.locator("tbody tr").count() == 1
    context.close()


# ---- what the file holds


def images_of(page: str) -> list[nib.Nifti1Image]:
    found = re.findall(r'<script type="text/plain"[^>]*>([^<]*)</script>', page)
    return [nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(each))) for each in found]


def test_the_images_are_whole_and_say_nothing_else():
    phantom = GRIDS["permuted"]
    image, mask = images_of(viewer_page(scene_of(phantom)))
    assert image.get_data_dtype() == np.int16
    assert mask.get_data_dtype() == np.uint8
    ours = nib.as_closest_canonical(nib.Nifti1Image(phantom.values, phantom.affine_ras))
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), np.asanyarray(ours.dataobj))
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj) == 1, np.asanyarray(ours.dataobj) == 1000)
    for each in (image, mask):
        header = each.header
        assert not any(
            bytes(header[key].tobytes()).strip(b"\0") for key in ("descrip", "aux_file", "db_name", "intent_name")
        )
        assert not header.extensions
        np.testing.assert_allclose(header.get_zooms(), ours.header.get_zooms())


@pytest.mark.parametrize(
    ("stored", "shown"),
    [("f8", "f4"), ("i4", "i2"), ("u4", "i2"), ("i1", "i2"), ("u2", "u2"), ("u1", "u1")],
)
def test_whole_numbers_stay_whole(stored, shown):
    values = (GRIDS["RAS"].values // 10).astype(stored)
    (image, _) = images_of(
        viewer_page(scene_of(GRIDS["RAS"], volume=replace(GRIDS["RAS"].volume(), data=values[None])))
    )
    assert image.get_data_dtype() == np.dtype(shown)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), values)


def test_what_is_no_number_is_dark_and_the_study_stays_as_it_was():
    data = GRIDS["RAS"].values[None].astype(np.float32)
    data[0, 0, 0, 0], data[0, 1, 0, 0] = np.nan, np.inf
    before = data.copy()
    (image, _) = images_of(viewer_page(scene_of(GRIDS["RAS"], volume=replace(GRIDS["RAS"].volume(), data=data))))
    assert np.asanyarray(image.dataobj)[0, 0, 0] == np.asanyarray(image.dataobj)[1, 0, 0] == 100
    np.testing.assert_array_equal(data, before)


# ---- what is refused


def test_a_study_too_large_for_a_page_is_refused_before_any_work():
    vast = np.broadcast_to(np.float32(0), (1, 1000, 1000, 101))
    with pytest.raises(CapacityError, match="404 MB"):
        viewer_page(Scene(title="", volume=Volume(data=vast, affine_ras=np.eye(4)), layers=()))
    long = np.broadcast_to(np.float32(0), (1, 2049, 2, 2))
    with pytest.raises(CapacityError, match="2048 along an axis"):
        viewer_page(Scene(title="", volume=Volume(data=long, affine_ras=np.eye(4)), layers=()))


def test_a_mask_of_another_grid_or_with_unnamed_values_is_refused():
    phantom = GRIDS["RAS"]
    smaller = Layer(name="Prediction", labels_XYZ=phantom.labels[1:], labels=(LABEL,))
    unnamed = Layer(name="Prediction", labels_XYZ=np.where(phantom.labels, 9, 0), labels=(LABEL,))
    negative = Layer(name="Prediction", labels_XYZ=unnamed.labels_XYZ - 20, labels=(LABEL,))
    for layer, error, found in (
        (smaller, GeometryError, "layer 'Prediction'"),
        (unnamed, FormatError, "found 9"),
        (negative, FormatError, "found -20 to -11"),
    ):
        scene = scene_of(phantom, layers=(layer,))
        with pytest.raises(error, match=found):
            viewer_page(scene)
