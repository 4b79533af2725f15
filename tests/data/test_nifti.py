import errno
import gzip
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scnas_deploy.data import nifti
from scnas_deploy.data.nifti import is_nifti_name, load_nifti, save_array, save_labels
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import DataError, FormatError, GeometryError, InputError, OutputError
from tests.data.drawing import ORIENTATIONS, assert_explains_itself, nifti_image, noise, oblique_affine, stored_as

SHAPE = (5, 6, 7)
AFFINE = oblique_affine((0.7, 1.2, 2.5))
QUATERNION_B = 256
QFORM_CODE = 252
SCL_SLOPE = 112
SROW_X = 280

DTYPES = [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]


def extremes(dtype, shape=SHAPE):
    """Voxels of which no two neighbours are alike, with the type's own limits among them."""
    voxels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    if np.dtype(dtype).kind in "iu":
        voxels[0, 0, 0], voxels[1, 2, 3] = np.iinfo(dtype).min, np.iinfo(dtype).max
    else:
        voxels[0, 0, 0], voxels[1, 2, 3] = -1234.5, 0.1
    return voxels


def patched(image, **fields):
    """The image's bytes with raw values at the offsets ``at_OFFSET``."""
    data = bytearray(image.to_bytes())
    for name, (form, *values) in fields.items():
        offset = int(name.removeprefix("at_"))
        data[offset : offset + struct.calcsize(form)] = struct.pack(form, *values)
    return bytes(data)


@pytest.fixture
def plain():
    return nifti_image(noise(SHAPE), AFFINE)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_voxels_keep_their_values(tmp_path, dtype, suffix):
    voxels = extremes(dtype)
    path = tmp_path / f"study{suffix}"
    nib.save(nifti_image(voxels, AFFINE), path)
    volume = load_nifti(path)
    assert volume.data.dtype == (np.float32 if np.dtype(dtype).kind == "f" else dtype)
    np.testing.assert_array_equal(volume.data, voxels[None].astype(volume.data.dtype))
    np.testing.assert_allclose(volume.affine_ras, AFFINE, atol=1e-5)
    assert volume.orientation_known
    assert volume.notes == ()


@pytest.mark.parametrize("dtype", DTYPES)
def test_big_endian_files_read_as_little_endian_ones(tmp_path, dtype):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.dtype(dtype).newbyteorder(">"))
    path = tmp_path / "study.nii"
    nib.save(nib.Nifti1Image(extremes(dtype), AFFINE, header), path)
    assert path.read_bytes()[:4] == struct.pack(">i", 348)
    volume = load_nifti(path)
    assert volume.data.dtype.isnative
    np.testing.assert_array_equal(volume.data[0], extremes(dtype).astype(volume.data.dtype))
    np.testing.assert_allclose(volume.affine_ras, AFFINE, atol=1e-5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_channels_come_first(tmp_path, suffix):
    voxels = noise((*SHAPE, 3))
    nib.save(nifti_image(voxels, AFFINE), tmp_path / f"study{suffix}")
    volume = load_nifti(tmp_path / f"study{suffix}")
    assert volume.num_channels == 3
    assert volume.shape == SHAPE
    for channel in range(3):
        np.testing.assert_array_equal(volume.data[channel], voxels[..., channel])


@pytest.mark.parametrize("shape", [(*SHAPE, 1), (*SHAPE, 1, 1)])
def test_trailing_axes_of_one_are_dropped(tmp_path, shape):
    voxels = noise(shape)
    nib.save(nifti_image(voxels, AFFINE), tmp_path / "study.nii")
    np.testing.assert_array_equal(load_nifti(tmp_path / "study.nii").data, voxels.reshape(1, *SHAPE))


def test_components_of_a_vector_image_are_channels(tmp_path):
    voxels = noise((*SHAPE, 1, 3))
    nib.save(nifti_image(voxels, AFFINE), tmp_path / "study.nii")
    np.testing.assert_array_equal(load_nifti(tmp_path / "study.nii").data[2], voxels[..., 0, 2])


def test_nifti_2_is_read(tmp_path):
    voxels = noise(SHAPE)
    nib.save(nib.Nifti2Image(voxels, AFFINE), tmp_path / "study.nii")
    np.testing.assert_array_equal(load_nifti(tmp_path / "study.nii").data[0], voxels)


def test_scaling_is_applied(tmp_path):
    voxels = noise(SHAPE)
    path = tmp_path / "study.nii"
    path.write_bytes(patched(nifti_image(voxels, AFFINE), **{f"at_{SCL_SLOPE}": ("<2f", 2.5, -1000.0)}))
    volume = load_nifti(path)
    assert volume.data.dtype == np.float32
    np.testing.assert_allclose(volume.data[0], voxels * 2.5 - 1000.0, rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_a_slope_that_is_none_leaves_integers_as_stored(tmp_path, slope):
    voxels = noise(SHAPE)
    path = tmp_path / "study.nii"
    path.write_bytes(patched(nifti_image(voxels, AFFINE), **{f"at_{SCL_SLOPE}": ("<2f", slope, 7.0)}))
    volume = load_nifti(path)
    assert volume.data.dtype == np.int16
    np.testing.assert_array_equal(volume.data[0], voxels)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_each_orientation_is_read_with_its_own_affine(tmp_path, codes):
    voxels, affine = stored_as(codes, noise(SHAPE), AFFINE)
    nib.save(nifti_image(voxels, affine), tmp_path / "study.nii")
    volume = load_nifti(tmp_path / "study.nii")
    assert "".join(nib.aff2axcodes(volume.affine_ras)) == codes
    np.testing.assert_allclose(volume.affine_ras, affine, atol=1e-5)
    np.testing.assert_array_equal(volume.data[0], voxels)
    assert volume.notes == ()


@pytest.mark.parametrize(("unit", "mm"), [("micron", 0.001), ("meter", 1000.0), ("mm", 1.0), ("unknown", 1.0)])
def test_lengths_become_millimetres(tmp_path, unit, mm):
    nib.save(nifti_image(noise(SHAPE), np.diag([1 / mm, 1 / mm, 1 / mm, 1]) @ AFFINE, unit=unit), tmp_path / "a.nii")
    volume = load_nifti(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.affine_ras, AFFINE, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(volume.spacing_mm, (0.7, 1.2, 2.5), rtol=1e-5)
    assert any("converted to millimetres" in note for note in volume.notes) == (mm != 1.0)


def test_the_sform_wins_over_a_slightly_different_qform(tmp_path):
    moved = AFFINE.copy()
    moved[:3, 3] += 2.0
    nib.save(nifti_image(noise(SHAPE), AFFINE, qform=moved), tmp_path / "study.nii")
    volume = load_nifti(tmp_path / "study.nii")
    np.testing.assert_allclose(volume.affine_ras, AFFINE, atol=1e-5)
    assert len(volume.notes) == 1
    assert "the sform was taken" in volume.notes[0]
    assert f"{np.sqrt(12) / 0.7:.1f} voxels" in volume.notes[0]


def test_a_difference_below_a_tenth_of_a_voxel_is_no_note(tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] += 0.05
    nib.save(nifti_image(noise(SHAPE), AFFINE, qform=moved), tmp_path / "study.nii")
    assert load_nifti(tmp_path / "study.nii").notes == ()


def test_forms_on_either_side_of_45_degrees_agree(tmp_path):
    """A hair decides how the axes are called there; the voxels lie in the same place."""
    forms = []
    for angle in (np.pi / 4 - 1e-4, np.pi / 4 + 1e-4):
        form = np.eye(4)
        form[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        forms.append(form)
    assert nib.aff2axcodes(forms[0]) != nib.aff2axcodes(forms[1])
    nib.save(nifti_image(noise(SHAPE), forms[0], qform=forms[1]), tmp_path / "study.nii")
    volume = load_nifti(tmp_path / "study.nii")
    np.testing.assert_allclose(volume.affine_ras, forms[0], atol=1e-5)
    assert volume.notes == ()


def test_the_sform_keeps_its_shear(tmp_path):
    sheared = oblique_affine((0.7, 1.2, 2.5), shear=0.2)
    nib.save(nifti_image(noise(SHAPE), sheared, qform_code=0), tmp_path / "study.nii")
    np.testing.assert_allclose(load_nifti(tmp_path / "study.nii").affine_ras, sheared, atol=1e-5)


def test_the_qform_serves_where_there_is_no_sform(tmp_path):
    nib.save(nifti_image(noise(SHAPE), AFFINE, sform_code=0), tmp_path / "study.nii")
    volume = load_nifti(tmp_path / "study.nii")
    np.testing.assert_allclose(volume.affine_ras, AFFINE, atol=1e-5)
    assert volume.orientation_known


def test_a_file_with_neither_form_does_not_know_its_orientation(tmp_path):
    nib.save(nifti_image(noise(SHAPE), AFFINE, sform_code=0, qform_code=0), tmp_path / "study.nii")
    volume = load_nifti(tmp_path / "study.nii")
    assert not volume.orientation_known
    np.testing.assert_allclose(volume.spacing_mm, (0.7, 1.2, 2.5), rtol=1e-5)
    assert "which way the patient lies is not known" in volume.notes[0]


@pytest.mark.parametrize("axis", range(3))
def test_forms_that_disagree_about_left_and_right_are_refused(tmp_path, axis):
    mirrored = AFFINE.copy()
    mirrored[:, axis] *= -1
    nib.save(nifti_image(noise(SHAPE), AFFINE, qform=mirrored), tmp_path / "study.nii")
    with pytest.raises(GeometryError) as caught:
        load_nifti(tmp_path / "study.nii")
    assert_explains_itself(caught.value, "RAS", "".join(nib.aff2axcodes(mirrored)), "sform", "qform")


def test_a_sform_that_is_no_affine_is_refused_beside_a_good_qform(tmp_path, plain):
    path = tmp_path / "study.nii"
    path.write_bytes(patched(plain, **{f"at_{SROW_X}": ("<4f", *[float("nan")] * 4)}))
    with pytest.raises(DataError) as caught:
        load_nifti(path)
    assert_explains_itself(caught.value)


@pytest.mark.parametrize("qform_code", [0, 1])
def test_a_sform_that_drops_an_axis_is_refused(tmp_path, qform_code):
    image = nifti_image(noise(SHAPE), AFFINE, qform_code=qform_code)
    path = tmp_path / "study.nii"
    path.write_bytes(patched(image, **{f"at_{SROW_X}": ("<12f", 1, 0, 0, 5, 0, 1, 0, 6, 0, 0, 0, 7)}))
    with pytest.raises(GeometryError) as caught:
        load_nifti(path)
    assert_explains_itself(caught.value)


def test_a_broken_quaternion_beside_a_good_sform_is_not_used(tmp_path, plain):
    path = tmp_path / "study.nii"
    path.write_bytes(patched(plain, **{f"at_{QUATERNION_B}": ("<3f", 9.0, 9.0, 9.0)}))
    volume = load_nifti(path)
    np.testing.assert_allclose(volume.affine_ras, AFFINE, atol=1e-5)
    save_labels(tmp_path / "labels.nii", np.zeros(SHAPE, np.uint8), volume)
    np.testing.assert_allclose(nib.load(tmp_path / "labels.nii").affine, AFFINE, atol=1e-5)


def test_each_of_several_readers_is_told_the_repairs_of_its_own_file(tmp_path, plain, capfd):
    sound, broken = tmp_path / "sound.nii", tmp_path / "broken.nii"
    sound.write_bytes(plain.to_bytes())
    broken.write_bytes(patched(plain, **{f"at_{QFORM_CODE}": ("<h", 77)}))
    paths = [sound, broken] * 100
    with ThreadPoolExecutor(4) as threads:
        volumes = list(threads.map(load_nifti, paths))
    for path, volume in zip(paths, volumes, strict=True):
        assert len(volume.notes) == (path == broken)
        assert all("repaired" in note for note in volume.notes)
    assert not nib.imageglobals.logger.filters
    assert not capfd.readouterr().err


def test_a_broken_quaternion_alone_is_refused(tmp_path):
    path = tmp_path / "study.nii"
    image = nifti_image(noise(SHAPE), AFFINE, sform_code=0)
    path.write_bytes(patched(image, **{f"at_{QUATERNION_B}": ("<3f", 9.0, 9.0, 9.0)}))
    with pytest.raises(DataError) as caught:
        load_nifti(path)
    assert_explains_itself(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FormatError) as caught:
        load_nifti(tmp_path / "study.nii.gz")
    assert_explains_itself(caught.value, "no such file", "study.nii.gz")


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "study.nii").mkdir()
    with pytest.raises(FormatError) as caught:
        load_nifti(tmp_path / "study.nii")
    assert_explains_itself(caught.value)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"PatientName,Age\nDoe,70\n" * 40, id="text"),
        pytest.param(lambda data: data[: len(data) // 2], id="half"),
        pytest.param(lambda data: data[:-4], id="last bytes missing"),
        pytest.param(lambda data: data[:200], id="half a header"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, plain, suffix, damage):
    whole = plain.to_bytes()
    path = tmp_path / f"study{suffix}"
    path.write_bytes(damage(gzip.compress(whole) if suffix == ".nii.gz" else whole))
    with pytest.raises(FormatError) as caught:
        load_nifti(path)
    assert_explains_itself(caught.value, f"{path.stat().st_size} bytes", "NIfTI")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT, errno.EMFILE, errno.ENOMEM])
@pytest.mark.parametrize("place", [(Path, "is_file"), (Path, "open"), (nifti, "_scaled_voxels")])
def test_a_file_that_cannot_be_read_just_now_is_not_called_damaged(tmp_path, plain, monkeypatch, place, number):
    nib.save(plain, tmp_path / "study.nii")

    def fail(*_, **__):
        raise OSError(number, "says the system")

    monkeypatch.setattr(*place, fail)
    with pytest.raises(InputError) as caught:
        load_nifti(tmp_path / "study.nii")
    assert_explains_itself(caught.value, os.strerror(number), "study.nii")


@pytest.mark.parametrize("number", [None, errno.EINVAL])
def test_what_reading_says_of_the_content_is_called_damage(tmp_path, plain, monkeypatch, number):
    nib.save(plain, tmp_path / "study.nii")

    def fail(*_):
        raise OSError(number, "a seek before the beginning")

    monkeypatch.setattr(nifti, "_scaled_voxels", fail)
    with pytest.raises(FormatError, match="unreadable content"):
        load_nifti(tmp_path / "study.nii")


def test_text_in_a_gzip_is_refused(tmp_path):
    path = tmp_path / "study.nii.gz"
    path.write_bytes(gzip.compress(b"not an image " * 100))
    with pytest.raises(FormatError) as caught:
        load_nifti(path)
    assert_explains_itself(caught.value)


def test_another_image_format_is_refused(tmp_path):
    nib.save(nib.MGHImage(noise(SHAPE, np.uint8), AFFINE), tmp_path / "study.mgz")
    with pytest.raises(FormatError) as caught:
        load_nifti(tmp_path / "study.mgz")
    assert_explains_itself(caught.value, "NIfTI")


@pytest.mark.parametrize("dtype", [np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]), np.dtype(np.complex64)], ids=str)
def test_voxels_that_are_not_one_real_number_are_refused(tmp_path, dtype):
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, dtype), AFFINE), tmp_path / "study.nii")
    with pytest.raises(FormatError) as caught:
        load_nifti(tmp_path / "study.nii")
    assert_explains_itself(caught.value, "real scalar voxels", "Convert")


@pytest.mark.parametrize("shape", [(5, 6), (5,), (5, 6, 7, 2, 3)])
def test_a_shape_without_three_axes_is_refused(tmp_path, shape):
    nib.save(nib.Nifti1Image(noise(shape), AFFINE), tmp_path / "study.nii")
    with pytest.raises(FormatError) as caught:
        load_nifti(tmp_path / "study.nii")
    assert_explains_itself(caught.value, "3 dimensions", "shape")


@pytest.mark.parametrize(("name", "known"), [("a.nii", 1), ("a.nii.gz", 1), ("A.NII.GZ", 1), ("a.gz", 0), ("nii", 0)])
def test_names_of_nifti_files_are_known(tmp_path, name, known):
    assert is_nifti_name(tmp_path / name) == bool(known)


forms = st.sampled_from([(1, 1), (1, 0), (0, 1), (4, 2), (2, 4), (0, 0)])
spacings = st.tuples(*[st.floats(0.3, 5.0)] * 3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    codes=st.sampled_from(ORIENTATIONS),
    spacing=spacings,
    degrees=st.floats(0, 35),
    form_codes=forms,
    units=st.tuples(st.sampled_from(["mm", "meter", "micron", "unknown"]), st.sampled_from(["sec", "msec", "unknown"])),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
)
def test_labels_carry_the_geometry_of_their_study(tmp_path, codes, spacing, degrees, form_codes, units, suffix):
    voxels, affine = stored_as(codes, noise(SHAPE), oblique_affine(spacing, degrees=degrees))
    source = nifti_image(voxels, affine, sform_code=form_codes[0], qform_code=form_codes[1])
    source.header.set_xyzt_units(*units)
    nib.save(source, tmp_path / "study.nii")
    source = nib.load(tmp_path / "study.nii")
    labels = (voxels % 5).astype(np.uint8)
    target = tmp_path / f"labels{suffix}"
    save_labels(target, labels, load_nifti(tmp_path / "study.nii"))
    result = nib.load(target)
    assert result.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asanyarray(result.dataobj), labels)
    assert (int(result.header["sform_code"]), int(result.header["qform_code"])) == form_codes
    np.testing.assert_allclose(result.affine, source.affine, rtol=1e-5, atol=1e-4)
    for form in ("get_sform", "get_qform"):
        ours, theirs = getattr(result, form)(coded=True)[0], getattr(source, form)(coded=True)[0]
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(result.header.get_zooms(), source.header.get_zooms(), rtol=1e-6)
    assert result.header.get_xyzt_units() == units


def test_labels_keep_a_sform_and_a_qform_that_differ(tmp_path):
    sheared = oblique_affine((0.7, 1.2, 2.5), shear=0.1)
    nib.save(nifti_image(noise(SHAPE), sheared, qform=AFFINE), tmp_path / "study.nii")
    save_labels(tmp_path / "labels.nii", np.ones(SHAPE, np.uint8), load_nifti(tmp_path / "study.nii"))
    result = nib.load(tmp_path / "labels.nii")
    np.testing.assert_allclose(result.get_sform(), sheared, atol=1e-5)
    np.testing.assert_allclose(result.get_qform(), AFFINE, atol=1e-5)


def test_labels_of_another_shape_are_refused(tmp_path, plain):
    nib.save(plain, tmp_path / "study.nii")
    volume = load_nifti(tmp_path / "study.nii")
    with pytest.raises(GeometryError) as caught:
        save_labels(tmp_path / "labels.nii", np.zeros(SHAPE[::-1], np.uint8), volume)
    assert_explains_itself(caught.value, str(SHAPE), str(SHAPE[::-1]))
    assert not (tmp_path / "labels.nii").exists()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64])
def test_labels_of_any_integer_type_keep_their_values(tmp_path, plain, dtype):
    nib.save(plain, tmp_path / "study.nii")
    labels = noise(SHAPE, dtype)
    save_labels(tmp_path / "labels.nii.gz", labels, load_nifti(tmp_path / "study.nii"))
    np.testing.assert_array_equal(load_nifti(tmp_path / "labels.nii.gz").data[0], labels)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_result_says_nothing_that_could_identify_the_patient(tmp_path, plain, suffix):
    plain.header["descrip"] = b"DOE^JOHN 1950"
    plain.header["aux_file"] = b"DOE^JOHN.txt"
    plain.header["db_name"] = b"DOE^JOHN"
    plain.header["intent_name"] = b"DOE^JOHN"
    plain.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE^JOHN"))
    source = tmp_path / f"DOE^JOHN{suffix}"
    nib.save(plain, source)
    target = tmp_path / f"labels{suffix}"
    save_labels(target, np.zeros(SHAPE, np.uint8), load_nifti(source))
    stored = target.read_bytes()
    content = gzip.decompress(stored) if suffix == ".nii.gz" else stored
    assert b"DOE" not in stored
    assert b"DOE" not in content
    assert len(content) == 352 + np.prod(SHAPE)


def test_a_study_from_elsewhere_gets_both_forms_in_millimetres(tmp_path):
    study = Volume(data=noise((1, *SHAPE)), affine_ras=AFFINE)
    save_labels(tmp_path / "labels.nii", np.zeros(SHAPE, np.uint8), study)
    result = nib.load(tmp_path / "labels.nii")
    np.testing.assert_allclose(result.get_sform(coded=True)[0], AFFINE, atol=1e-5)
    np.testing.assert_allclose(result.get_qform(coded=True)[0], AFFINE, atol=1e-5)
    assert result.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("name", ["LABELS.NII", "LABELS.NII.GZ"])
def test_a_name_in_capitals_is_written_as_what_it_says(tmp_path, name):
    study = Volume(data=noise((1, *SHAPE)), affine_ras=AFFINE)
    save_labels(tmp_path / name, noise(SHAPE, np.uint8), study)
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.lower().endswith(".gz")
    np.testing.assert_array_equal(load_nifti(tmp_path / name).data[0], noise(SHAPE, np.uint8))


def test_arrays_with_channels_come_back(tmp_path, plain):
    nib.save(plain, tmp_path / "study.nii")
    voxels = np.random.default_rng(0).random((*SHAPE, 3), dtype=np.float32)
    save_array(tmp_path / "probabilities.nii.gz", voxels, load_nifti(tmp_path / "study.nii"))
    again = load_nifti(tmp_path / "probabilities.nii.gz")
    np.testing.assert_array_equal(again.data, np.moveaxis(voxels, -1, 0))
    np.testing.assert_allclose(again.affine_ras, AFFINE, atol=1e-5)


def test_a_missing_output_folder_is_refused(tmp_path):
    study = Volume(data=noise((1, *SHAPE)), affine_ras=AFFINE)
    with pytest.raises(OutputError) as caught:
        save_labels(tmp_path / "missing" / "labels.nii", np.zeros(SHAPE, np.uint8), study)
    assert_explains_itself(caught.value, "no such folder")
