"""The page of a measurement: engines against each other, and what could not be measured first."""

import json
from dataclasses import asdict, replace

import pytest

from scnas_deploy.errors import FormatError
from scnas_deploy.inference.bench import Bench, EngineFigures
from scnas_deploy.reports.bench import bench_page, load_bench
from tests.browser import WIDTHS, WatchedPage


def figures(engine: str, precision: str, rate: float, agreement: float | None) -> EngineFigures:
    return EngineFigures(
        engine=engine,
        precision=precision,
        device="CPU",
        batch_size=1,
        patches_per_second=rate,
        gmacs_per_second=0.6 * rate,
        share_of_peak=0.6 * rate / 110,
        study_seconds=180 / rate,
        peak_bytes=164_000_000,
        cpu_joules=12.5,
        said_bytes=95_000_000,
        taken_bytes=53_000_000,
        label_agreement=agreement,
        dice_loss=None if agreement is None else 1 - agreement,
    )


@pytest.fixture
def bench() -> Bench:
    return Bench(
        model="hippocampus",
        model_digest="26b8" * 16,
        patch_size=(40, 56, 40),
        gmacs_per_patch=0.6,
        study_shape=(140, 180, 140),
        study_spacing_mm=(1.0, 1.0, 1.2),
        processor="a <fast> one",
        num_threads=2,
        peak_gmacs_per_second=110.0,
        engines=(
            figures("openvino 2026.4.1", "float32", 35.5, 1.0),
            figures("openvino 2026.4.1", "int8", 58.7, 0.9997),
            figures("onnxruntime 1.31.1", "float32", 27.5, None),
            EngineFigures(engine="tensorrt", precision="auto", error="no GPU & <no> driver"),
        ),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_engines_stand_against_each_other(browser, bench, tmp_path, width):
    path = tmp_path / "page.html"
    path.write_text(bench_page(bench))
    watched = WatchedPage(browser, width)
    page = watched.open(path)
    page.wait_for_selector("html[data-charts=drawn]")
    for name, marks in {"patches": 3, "seconds": 3, "share": 3, "memory": 6, "processor-energy": 3}.items():
        assert page.locator(f"#{name} svg path[aria-roledescription=bar]").count() == marks, name
    assert page.locator("#accuracy svg path[aria-roledescription=point]").count() == 2
    assert page.locator("#gpu-energy").count() == 0
    assert "no GPU & <no> driver" in page.inner_text("#failures")
    assert page.locator("h2").first.inner_text() == "Not measured"
    assert "a <fast> one" in page.inner_text(".top .facts")
    table = page.inner_text("#figures")
    for words in ("58.70", "32.0%", "95 MB", "53 MB", "99.970 %", "0.0003"):
        assert words in table
    assert "tensorrt" not in table
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    watched.picture(tmp_path, f"bench-{width}")
    watched.require_clean()
    watched.require_accessible()
    watched.close()


def test_what_is_drawn_is_said_too(bench):
    page = bench_page(bench)
    assert "openvino 2026.4.1, int8: 58.70 patches/s, 0.030 %" in page
    assert "openvino 2026.4.1, float32 predicted 95 MB; openvino 2026.4.1, float32 measured 53 MB" in page


def test_a_measurement_comes_back_from_json(bench, tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(asdict(bench)))
    assert load_bench(path) == bench


def test_an_older_measurement_has_a_page_without_what_it_did_not_record(bench, tmp_path):
    content = asdict(bench)
    for row in content["engines"]:
        for name in ("said_bytes", "taken_bytes", "label_agreement", "dice_loss", "cpu_joules"):
            del row[name]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(content))
    page = bench_page(load_bench(path))
    assert "of a version that did not record what was predicted" in page
    assert 'id="accuracy"' not in page
    assert 'id="patches"' in page


@pytest.mark.parametrize("text", ["{", '{"model": 1}', "[]"])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="scnas bench --json"):
        load_bench(path)


def test_where_all_engines_agree_the_points_lie_on_the_axis(bench):
    same = tuple(replace(row, label_agreement=1.0) for row in bench.engines[:2])
    assert "58.70 patches/s, 0.000 %" in bench_page(replace(bench, engines=same))
