"""Pixels are decoded in a process that may be lost; what it cannot decode is refused."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pydicom
import pytest

from scnas_deploy.data.dicom import decoding
from scnas_deploy.data.dicom.decoding import Decoder, UndecodableError
from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import scan
from scnas_deploy.data.dicom.verdicts import DamagedPixels, UnsupportedSyntax, VerdictError
from tests.dicom_drawing import Drawing

SHAPE = (384, 384)
JPEG_2000 = "mr_transfer_syntaxes/In/9.dcm"


@pytest.fixture
def compressed(scnas_data) -> Path:
    return scnas_data / "dicom" / JPEG_2000


def test_several_objects_go_through_one_process(compressed):
    data = compressed.read_bytes()
    with Decoder(10**6) as decoder:
        first = list(decoder.frames(data, SHAPE))
        process = decoder._process.pid
        second = list(decoder.frames(data, SHAPE))
        assert decoder._process.pid == process
    assert len(first) == len(second) == 1
    np.testing.assert_array_equal(first[0], second[0])
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_decoder_that_crashed_gives_an_error_and_the_next_object_gets_another(compressed):
    data = compressed.read_bytes()
    with Decoder(10**6) as decoder:
        list(decoder.frames(data, SHAPE))
        os.kill(decoder._process.pid, signal.SIGKILL)
        with pytest.raises(UndecodableError):
            list(decoder.frames(data, SHAPE))
        assert len(list(decoder.frames(data, SHAPE))) == 1


def test_a_decoder_that_hangs_is_given_up(compressed, monkeypatch):
    monkeypatch.setattr(decoding, "_FRAME_S", 0.3)
    with Decoder(10**6) as decoder:
        list(decoder.frames(compressed.read_bytes(), SHAPE))
        process = decoder._process.pid
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(UndecodableError):
            list(decoder.frames(compressed.read_bytes(), SHAPE))
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_decoder_may_not_take_all_memory(compressed, monkeypatch):
    monkeypatch.setattr(decoding, "_MEMORY_BYTES", 1 << 20)
    with Decoder(0) as decoder, pytest.raises(UndecodableError):
        list(decoder.frames(compressed.read_bytes(), SHAPE))


def test_pixels_of_another_size_than_the_header_says_are_refused(compressed):
    with Decoder(10**6) as decoder, pytest.raises(UndecodableError):
        list(decoder.frames(compressed.read_bytes(), (380, 384)))


def test_damaged_pixels_of_one_object_refuse_the_series(tmp_path, compressed):
    dataset = pydicom.dcmread(compressed)
    dataset.PixelData = pydicom.encaps.encapsulate([bytes(1000)])
    path = tmp_path / "damaged.dcm"
    dataset.save_as(path)
    with pytest.raises(VerdictError) as caught:
        read_series(scan([path]).series[0], ["split-mosaic"])
    assert caught.value.verdicts == (DamagedPixels(objects=1),)


def test_a_syntax_that_nothing_decodes_is_named(tmp_path):
    folder = Drawing().save(tmp_path)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
        dataset.PixelData = pydicom.encaps.encapsulate([bytes(100)])
        dataset.save_as(path)
    with pytest.raises(VerdictError) as caught:
        read_series(scan([folder]).series[0])
    assert isinstance(caught.value.verdicts[0], UnsupportedSyntax)
    assert "MPEG2" in str(caught.value)


def test_a_deflated_object_is_read(tmp_path):
    drawing = Drawing()
    folder = drawing.save(tmp_path)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        dataset.save_as(path)
    np.testing.assert_array_equal(read_series(scan([folder]).series[0]).data[0], drawing.voxels)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "change", [lambda f: f[:9], lambda f: f[:3] + f[4:], lambda f: [f[0], *f]], ids=["fewer", "lost", "doubled"]
)
def test_frames_of_which_it_cannot_be_told_where_they_belong_are_refused(tmp_path, change):
    path = Drawing(modality="MR").save_enhanced(tmp_path)
    dataset = pydicom.dcmread(path)
    dataset.compress(pydicom.uid.RLELossless)
    frames = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=12))
    dataset.save_as(path)
    np.testing.assert_array_equal(read_series(scan([path]).series[0]).data[0], Drawing().voxels)
    dataset.PixelData = pydicom.encaps.encapsulate(change(frames), has_bot=False)
    dataset.save_as(path)
    with pytest.raises(VerdictError) as caught:
        read_series(scan([path]).series[0])
    assert caught.value.verdicts == (DamagedPixels(objects=1),)
