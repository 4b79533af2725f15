"""The picture shows what was measured, and what could not be."""

import xml.etree.ElementTree as ElementTree

import pytest

from scnas_deploy.drawing.bench import draw_bench
from scnas_deploy.inference.bench import Bench, EngineFigures

SVG = "{http://www.w3.org/2000/svg}"


def measured(engine, rate, share):
    return EngineFigures(engine=engine, precision="float32", device="CPU", patches_per_second=rate, share_of_peak=share)


def picture(*engines):
    bench = Bench(
        model="liver & spleen",
        model_digest="0" * 64,
        patch_size=(40, 56, 40),
        gmacs_per_patch=1.3,
        study_shape=(37, 49, 34),
        study_spacing_mm=(1.0, 1.0, 1.0),
        processor="a <fast> one",
        num_threads=2,
        peak_gmacs_per_second=100.0,
        engines=engines,
    )
    return ElementTree.fromstring(draw_bench(bench))


def bars(drawn, kind):
    return [float(bar.get("width")) for bar in drawn.iter(f"{SVG}rect") if bar.get("class") == kind]


def words(drawn):
    return [text.text for text in drawn.iter(f"{SVG}text")]


def test_bars_are_as_long_as_the_figures_say():
    drawn = picture(measured("openvino 1", 8.0, 0.5), measured("onnxruntime 1", 2.0, 0.125))
    fast, slow = bars(drawn, "rate")
    assert slow / fast == pytest.approx(0.25, rel=0.01)
    half, eighth = bars(drawn, "share")
    whole = bars(drawn, "room")[0]
    assert (half / whole, eighth / whole) == (pytest.approx(0.5, rel=0.01), pytest.approx(0.125, rel=0.01))
    assert {"8.00", "2.00", "50.0%", "12.5%"} <= set(words(drawn))
    assert "Model 'liver & spleen' on this machine" in words(drawn)


def test_what_was_not_measured_says_so_in_its_row_and_has_no_bar():
    failed = EngineFigures(engine="triton://a-long-name.of-a.hospital:8001/model", precision="auto", error="gone")
    drawn = picture(measured("openvino 1", 8.0, 0.5), failed)
    assert len(bars(drawn, "rate")) == 1
    assert "could not be measured" in words(drawn)
    assert any(word.startswith("triton://") and word.endswith("8001/model, auto") for word in words(drawn))


def test_a_share_that_is_not_known_is_not_drawn_and_one_above_the_peak_ends_there():
    drawn = picture(measured("tensorrt 11", 8.0, None), measured("int8", 9.0, 1.4))
    assert len(bars(drawn, "rate")) == 2
    assert bars(drawn, "share") == bars(drawn, "room")
    assert {"not known", "140.0%"} <= set(words(drawn))


def test_nothing_lies_outside_of_the_picture():
    drawn = picture(measured("openvino 1", 8.0, 0.5), measured("onnxruntime 1", 2.0, 0.1))
    _, _, width, height = map(float, drawn.get("viewBox").split())
    for bar in drawn.iter(f"{SVG}rect"):
        assert float(bar.get("x", 0)) + float(bar.get("width")) <= width
        assert float(bar.get("y", 0)) + float(bar.get("height")) <= height
