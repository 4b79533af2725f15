"""A series is read as it lies in the patient, whatever its files are called, or refused with the rule it breaks."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import scan
from scnas_deploy.data.dicom.verdicts import (
    Contradiction,
    Duplicate,
    Gap,
    Mixed,
    NoGeometry,
    SeveralVolumes,
    Tilt,
    TooFewSlices,
    Verdict,
    VerdictError,
)
from scnas_deploy.data.study import load_study
from scnas_deploy.errors import GeometryError
from tests.data.dicom.grids import GRIDS
from tests.dicom_drawing import Drawing, Grid, seeded_uid

QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(*paths, allow=()):
    (series,) = scan(paths).series
    return read_series(series, allow)


def verdicts(*paths, allow=()) -> tuple[Verdict, ...]:
    with pytest.raises(VerdictError) as caught:
        read(*paths, allow=allow)
    assert all(verdict.rule in str(caught.value) for verdict in caught.value.verdicts)
    return caught.value.verdicts


def assert_is(volume, drawing: Drawing) -> None:
    np.testing.assert_array_equal(volume.data[0], drawing.voxels)
    np.testing.assert_allclose(volume.affine_ras, drawing.grid.affine_ras(), atol=1e-4)


@pytest.mark.parametrize("name", sorted(GRIDS))
@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
def test_planes_lie_where_the_standard_puts_them(tmp_path, name, enhanced):
    drawing = Drawing(grid=GRIDS[name], modality="MR")
    path = drawing.save_enhanced(tmp_path) if enhanced else drawing.save(tmp_path)
    assert_is(read(path), drawing)


@given(order=st.permutations(range(12)), name=st.sampled_from(sorted(GRIDS)))
@QUICK
def test_names_and_instance_numbers_say_nothing(tmp_path, order, name):
    drawing = Drawing(grid=GRIDS[name])

    def shuffle(objects):
        for number, dataset in enumerate(objects):
            dataset.InstanceNumber = len(objects) - number
        return [objects[index] for index in order]

    shutil.rmtree(tmp_path / drawing.name, ignore_errors=True)
    assert_is(read(drawing.save(tmp_path, shuffle)), drawing)


@given(seed=st.integers(0, 10**6), name=st.sampled_from(sorted(GRIDS)))
@QUICK
def test_directions_that_differ_by_a_rounding_are_the_same(tmp_path, seed, name):
    drawing, rng = Drawing(grid=GRIDS[name]), np.random.default_rng(seed)

    def jitter(objects):
        for dataset in objects:
            exact = np.array(dataset.ImageOrientationPatient, dtype=float)
            dataset.ImageOrientationPatient = [f"{value:.9f}" for value in exact + rng.uniform(-1e-7, 1e-7, 6)]
        return objects

    assert_is(read(drawing.save(tmp_path, jitter)), drawing)


@given(missing=st.integers(1, 10), name=st.sampled_from(sorted(GRIDS)))
@QUICK
def test_a_missing_plane_is_a_gap_of_twice_the_distance(tmp_path, missing, name):
    drawing = Drawing(grid=GRIDS[name])
    shutil.rmtree(tmp_path / drawing.name, ignore_errors=True)
    (gap,) = verdicts(drawing.save(tmp_path, lambda objects: objects[:missing] + objects[missing + 1 :]))
    distance = abs(drawing.grid.distance_mm)
    assert isinstance(gap, Gap)
    assert gap.usual_mm == pytest.approx(distance, abs=1e-3)
    assert sorted(gap.distances_mm)[-2:] == pytest.approx([distance, 2 * distance], abs=1e-3)


@given(which=st.integers(0, 11), name=st.sampled_from(sorted(GRIDS)))
@QUICK
def test_an_object_sent_twice_counts_once(tmp_path, which, name):
    drawing = Drawing(grid=GRIDS[name])
    shutil.rmtree(tmp_path / drawing.name, ignore_errors=True)
    assert_is(read(drawing.save(tmp_path, lambda objects: [*objects, objects[which]])), drawing)


@given(which=st.integers(0, 11))
@QUICK
def test_another_object_at_the_same_place_is_a_duplicate(tmp_path, which):
    def double(objects):
        other = Drawing(seed=1).plane(which)
        other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = seeded_uid("other", which)
        return [*objects, other]

    assert verdicts(Drawing().save(tmp_path, double)) == (Duplicate(positions=1),)


def test_two_contents_under_one_uid_are_refused(tmp_path):
    path = Drawing().save(tmp_path, lambda objects: [*objects, Drawing(seed=1).plane(3)])
    found = verdicts(path)
    assert Contradiction(objects=1) in found


@given(which=st.integers(0, 11))
@QUICK
def test_a_plane_of_another_patient_is_refused(tmp_path, which):
    def exchange(objects):
        objects[which].PatientID = "SOMEBODY-ELSE"
        return objects

    with pytest.raises(VerdictError) as caught:
        read(Drawing().save(tmp_path, exchange))
    assert caught.value.verdicts == (Mixed(what="patient", values=2),)
    assert "SOMEBODY" not in str(caught.value)
    assert "NOBODY" not in str(caught.value)


def set_on(which, **values):
    def change(objects):
        for keyword, value in values.items():
            setattr(objects[which], keyword, value)
        return objects

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"StudyInstanceUID": seeded_uid("another study")}, "study"),
        ({"FrameOfReferenceUID": seeded_uid("another frame")}, "frame of reference"),
        ({"PixelSpacing": ["1.2", "0.8"]}, "spacing"),
        ({"ImageOrientationPatient": ["0", "1", "0", "0", "0", "-1"]}, "orientation"),
    ],
)
def test_planes_that_differ_in_what_a_volume_shares_are_refused(tmp_path, change, what):
    assert verdicts(Drawing().save(tmp_path, set_on(4, **change))) == (Mixed(what=what, values=2),)


def test_planes_of_two_sizes_are_refused(tmp_path):
    small = Drawing(grid=Grid(shape=(18, 16, 12)))
    path = Drawing().save(tmp_path, lambda objects: [*objects[:6], *small.objects()[6:]])
    assert verdicts(path) == (Mixed(what="size", values=2),)


def test_planes_that_do_not_say_where_they_lie_are_refused(tmp_path):
    def forget(objects):
        del objects[2].ImagePositionPatient
        objects[3].ImageOrientationPatient = ["1", "0", "0", "1", "0", "0"]
        return objects

    assert verdicts(Drawing().save(tmp_path, forget)) == (NoGeometry(planes=2),)


def test_a_single_plane_is_no_volume(tmp_path):
    assert verdicts(Drawing().save(tmp_path, lambda objects: objects[:1])) == (TooFewSlices(slices=1),)


@pytest.mark.parametrize(
    ("keyword", "values", "by"),
    [("EchoTime", ("10", "80"), "echo time"), ("TemporalPositionIdentifier", (1, 2), "time point")],
)
def test_echoes_and_time_points_are_told_apart(tmp_path, keyword, values, by):
    def both(objects):
        others = Drawing(modality="MR", seed=1).objects()
        for number, dataset in enumerate(others):
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = seeded_uid("second", number)
        for value, group in zip(values, (objects, others), strict=True):
            for dataset in group:
                setattr(dataset, keyword, value)
        return [*objects, *others]

    path = Drawing(modality="MR").save(tmp_path, both)
    assert verdicts(path) == (SeveralVolumes(volumes=2, by=(by,)),)


@pytest.mark.parametrize("degrees", [2.0, -18.5])
def test_a_tilt_is_refused_with_its_angle(tmp_path, degrees):
    shift = float(np.tan(np.deg2rad(degrees)) * 2.5)
    (tilt,) = verdicts(Drawing(grid=Grid(shift_mm=(0.0, shift))).save(tmp_path))
    assert isinstance(tilt, Tilt)
    assert tilt.degrees == pytest.approx(abs(degrees), abs=1e-3)


def test_slopes_that_differ_from_plane_to_plane_are_applied_plane_by_plane(tmp_path):
    def rescale(objects):
        for number, dataset in enumerate(objects):
            dataset.RescaleSlope, dataset.RescaleIntercept = f"{0.5 + number / 100:.4f}", "-3"
        return objects

    drawing = Drawing(modality="PT", intercept=0)
    volume = read(drawing.save(tmp_path, rescale))
    slopes = 0.5 + np.arange(12) / 100
    assert volume.data.dtype == np.float32
    np.testing.assert_allclose(volume.data[0], drawing.voxels * slopes - 3, rtol=1e-6, atol=1e-4)


def test_a_series_is_read_from_a_folder_a_zip_and_a_list_alike(tmp_path):
    drawing = Drawing()
    folder = drawing.save(tmp_path)
    packed = shutil.make_archive(str(tmp_path / "study"), "zip", folder)
    assert_is(read(packed_path := tmp_path / "study.zip"), drawing)
    assert str(packed_path) == packed
    assert_is(read(*sorted(folder.iterdir())), drawing)


def test_the_origin_knows_each_plane_in_the_order_of_the_volume(tmp_path):
    drawing = Drawing(grid=replace(GRIDS["double oblique"], distance_mm=-2.5))
    volume = read(drawing.save(tmp_path))
    uids = [plane.instance.uid for plane in volume.dicom.planes]
    assert uids == [seeded_uid("study", "drawn", index) for index in range(11, -1, -1)]
    labels = (volume.data[0] > -500).astype(np.uint8)
    np.testing.assert_array_equal(volume.dicom.on_planes(labels), labels.transpose(2, 1, 0))


def interleaved(**first_and_second):
    """Planes of two kinds in turns."""

    def change(objects):
        for number, dataset in enumerate(objects):
            for keyword, values in first_and_second.items():
                setattr(dataset, keyword, values[number % 2])
        return objects

    return change


@pytest.mark.parametrize(
    ("keyword", "values", "what"),
    [
        ("EchoTime", ("10", "80"), "echo time"),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]), "image type"),
        ("ConvolutionKernel", ("B30", "B70"), "reconstruction kernel"),
        ("SOPClassUID", ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.128"), "object class"),
    ],
)
def test_planes_of_two_volumes_beside_each_other_are_not_one(tmp_path, keyword, values, what):
    found = verdicts(Drawing().save(tmp_path, interleaved(**{keyword: values})))
    assert found == (Mixed(what=what, values=2),)


def test_planes_that_nearly_coincide_are_duplicates(tmp_path):
    def double(objects):
        others = Drawing(seed=1).objects()
        for number, dataset in enumerate(others):
            x, y, z = map(float, dataset.ImagePositionPatient)
            dataset.ImagePositionPatient = [x, y, z + 0.002]
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = seeded_uid("second", number)
        return [*objects, *others]

    path = Drawing().save(tmp_path, double)
    assert verdicts(path, allow=("resample-gaps",)) == (Duplicate(positions=12),)


def test_a_gap_that_nobody_could_fill_is_refused(tmp_path):
    heights = [*(2.5 * np.arange(11)), 900.0]
    with pytest.raises(GeometryError, match="12 planes over 900 mm"):
        read(Drawing(grid=Grid(heights_mm=heights)).save(tmp_path), allow=("resample-gaps",))


def test_what_could_not_be_read_is_told(tmp_path):
    folder = Drawing().save(tmp_path)
    for path in sorted(folder.iterdir())[-2:]:
        path.write_bytes(path.read_bytes()[:900])
    volume = load_study([folder])
    assert volume.shape == (20, 16, 10)
    assert len(volume.notes) == 1
    assert volume.notes[0].startswith("2 file(s) of the study could not be read")
