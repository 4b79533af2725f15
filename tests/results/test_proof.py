"""A segmentation object that says anything else than what was found is not handed out."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from scnas_deploy.errors import ProofError
from scnas_deploy.results.identity import identity_of
from scnas_deploy.results.proof import prove_segmentation
from scnas_deploy.results.segmentation_object import make_segmentation
from scnas_deploy.results.source import source_of
from tests.results.conftest import GEOMETRIES, drawn_result


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A result, its source, and a sound object of it."""
    result = drawn_result(tmp_path_factory.mktemp("study"), "double oblique")
    source = source_of(result.study)
    return result, source, encoded(make_segmentation(result, source, identity_of("seg", result, source)))


def encoded(dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def frames_of(dataset) -> np.ndarray:
    count = dataset.NumberOfFrames * dataset.Rows * dataset.Columns
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")[:count]
    return bits.reshape(dataset.NumberOfFrames, dataset.Rows, dataset.Columns)


def set_frames(dataset, frames) -> None:
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + bytes(len(packed) % 2)


def orientation(dataset):
    return dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]


def positions(dataset):
    return [group.PlanePositionSequence[0] for group in dataset.PerFrameFunctionalGroupsSequence]


def mirror_orientation(dataset):
    there = [float(value) for value in orientation(dataset).ImageOrientationPatient]
    orientation(dataset).ImageOrientationPatient = [*(-value for value in there[:3]), *there[3:]]


def exchange_row_and_column(dataset):
    there = list(orientation(dataset).ImageOrientationPatient)
    orientation(dataset).ImageOrientationPatient = [*there[3:], *there[:3]]


def swap_two_positions(dataset):
    first, second = positions(dataset)[0], positions(dataset)[1]
    first.ImagePositionPatient, second.ImagePositionPatient = second.ImagePositionPatient, first.ImagePositionPatient


def reverse_positions(dataset):
    there = [place.ImagePositionPatient for place in positions(dataset)]
    for place, value in zip(positions(dataset), reversed(there), strict=True):
        place.ImagePositionPatient = value


def shift_positions(dataset):
    for place in positions(dataset):
        x, y, z = map(float, place.ImagePositionPatient)
        place.ImagePositionPatient = [x + 0.5, y, z]


def another_frame_of_reference(dataset):
    dataset.FrameOfReferenceUID = generate_uid()


def another_patient(dataset):
    dataset.PatientID = "ANOTHER"


def another_name(dataset):
    dataset.PatientName = "Another^Name"


def another_study(dataset):
    dataset.StudyInstanceUID = generate_uid()


def leave_out_a_frame(dataset):
    frames = frames_of(dataset)
    del dataset.PerFrameFunctionalGroupsSequence[2]
    dataset.NumberOfFrames -= 1
    set_frames(dataset, np.delete(frames, 2, axis=0))


def transpose_pixels(dataset):
    frames = frames_of(dataset)
    set_frames(dataset, np.stack([np.resize(frame.T, frame.shape) for frame in frames]))


def mirror_pixels(dataset):
    set_frames(dataset, frames_of(dataset)[:, :, ::-1])


def turn_one_bit(dataset):
    frames = frames_of(dataset)
    frames[1, 3, 4] ^= 1
    set_frames(dataset, frames)


def exchange_segments(dataset):
    for group in dataset.PerFrameFunctionalGroupsSequence:
        identified = group.SegmentIdentificationSequence[0]
        identified.ReferencedSegmentNumber = 3 - identified.ReferencedSegmentNumber


def exchange_codes(dataset):
    first, second = dataset.SegmentSequence
    codes = "SegmentedPropertyTypeCodeSequence"
    first[codes].value, second[codes].value = second[codes].value, first[codes].value


def rename_a_segment(dataset):
    dataset.SegmentSequence[0].SegmentLabel = "kidney"


def another_spacing(dataset):
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = list(reversed(measures.PixelSpacing))


def name_another_source(dataset):
    groups = dataset.PerFrameFunctionalGroupsSequence
    first, second = (group.DerivationImageSequence[0].SourceImageSequence[0] for group in (groups[0], groups[1]))
    first.ReferencedSOPInstanceUID, second.ReferencedSOPInstanceUID = (
        second.ReferencedSOPInstanceUID,
        first.ReferencedSOPInstanceUID,
    )


def repeat_a_frame(dataset):
    positions(dataset)[1].ImagePositionPatient = positions(dataset)[0].ImagePositionPatient


def forget_positions(dataset):
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence


def cut_off_pixels(dataset):
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]


def forget_sources(dataset):
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence


def call_it_fractional(dataset):
    dataset.SegmentationType = "FRACTIONAL"


MUTATIONS = [
    forget_sources,
    call_it_fractional,
    mirror_orientation,
    exchange_row_and_column,
    swap_two_positions,
    reverse_positions,
    shift_positions,
    another_frame_of_reference,
    another_patient,
    another_name,
    another_study,
    leave_out_a_frame,
    transpose_pixels,
    mirror_pixels,
    turn_one_bit,
    exchange_segments,
    exchange_codes,
    rename_a_segment,
    another_spacing,
    name_another_source,
    repeat_a_frame,
    forget_positions,
    cut_off_pixels,
]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_a_mutated_object_is_refused(sound, mutate):
    result, source, data = sound
    dataset = pydicom.dcmread(io.BytesIO(data))
    mutate(dataset)
    with pytest.raises(ProofError) as caught:
        prove_segmentation(encoded(dataset), result, source)
    assert "NOBODY" not in str(caught.value)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("name", sorted(GEOMETRIES))
def test_a_sound_object_passes(tmp_path, name, kind):
    result = drawn_result(tmp_path, name)
    source = source_of(result.study)
    made = make_segmentation(result, source, identity_of("seg", result, source), kind)
    prove_segmentation(encoded(made), result, source)


def test_the_same_object_of_another_result_is_refused(sound):
    result, source, data = sound
    labels = result.labels_XYZ.copy()
    labels[5, 5, 5] = 7
    from dataclasses import replace

    with pytest.raises(ProofError, match="differ"):
        prove_segmentation(data, replace(result, labels_XYZ=labels), source)
