"""An engine comes back for the key it was kept under, and from an undamaged file, or not at all."""

import json
import stat
from pathlib import Path

import pytest

from scnas_deploy.errors import EngineError, OutputError
from scnas_deploy.inference.inputs import InputRange
from scnas_deploy.inference.tensorrt.cache import EngineCache, make_key, read_engine, user_engines
from scnas_deploy.inference.tensorrt.cuda import Gpu

SHAPE = (1, 1, 24, 24, 24)
INPUTS = InputRange(least=SHAPE, usual=(4, *SHAPE[1:]), most=(8, *SHAPE[1:]))
PLAN = b"a plan\nof several lines\n" * 50


def key(**other):
    given = {"model": b"onnx", "precision": "float32", "tensorrt": "11.4.0.106", "gpu": Gpu("NVIDIA L4", (8, 9))}
    return make_key(**{**given, "inputs": INPUTS, **other})


OTHERS = {
    "gpu": (key(gpu=Gpu("NVIDIA H200", (9, 0))), "NVIDIA H200 (compute capability 9.0)"),
    "capability": (key(gpu=Gpu("NVIDIA L4", (8, 6))), "NVIDIA L4 (compute capability 8.6)"),
    "version": (key(tensorrt="11.5.0.2"), "TensorRT 11.5.0.2"),
    "network": (key(model=b"other"), "the network"),
    "precision": (key(precision="float16"), "precision float16"),
    "shapes": (key(inputs=InputRange(least=SHAPE, usual=SHAPE, most=SHAPE)), "batches of (1, 1, 24, 24, 24) to"),
}


def test_an_engine_comes_back_as_it_was_kept(cache):
    assert cache.find(key()) is None
    path = cache.keep(key(), PLAN)
    assert cache.find(key()) == PLAN
    assert list(cache.folder.iterdir()) == [path]


def test_the_first_line_says_in_json_what_the_engine_is(cache):
    header = json.loads(cache.keep(key(), PLAN).read_bytes().split(b"\n")[0])
    assert header["schema"] == 1
    assert (header["key"]["gpu"], header["key"]["tensorrt"]) == ("NVIDIA L4", "11.4.0.106")


@pytest.mark.parametrize("other", OTHERS)
def test_an_engine_for_something_else_is_not_found(other, cache):
    cache.keep(OTHERS[other][0], PLAN)
    assert cache.find(key()) is None


@pytest.mark.parametrize("other", OTHERS)
def test_an_engine_for_something_else_under_this_name_is_refused_with_what_it_is_for(other, cache, tmp_path):
    built_for, words = OTHERS[other]
    path = cache.keep(built_for, PLAN)
    with pytest.raises(EngineError) as refused:
        read_engine(path, key())
    assert refused.value.expected.startswith("an engine built for ")
    assert words in refused.value.found
    assert "scnas export --trt" in refused.value.remedy


def test_every_changed_byte_is_refused(cache):
    path = cache.keep(key(), PLAN)
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(EngineError):
            cache.find(key())


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_truncated_file_is_refused(length, cache):
    path = cache.keep(key(), PLAN)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(EngineError, match=r"the digest|digest its header gives|an engine with its header"):
        cache.find(key())


def test_a_changed_plan_has_its_own_message(cache):
    path = cache.keep(key(), PLAN)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(EngineError, match="the plan whose digest its header gives, found another: the file was change"):
        cache.find(key())


def test_an_engine_for_many_gpus_serves_those_from_ampere_on(cache):
    cache.keep(key().for_all_gpus(), PLAN)
    assert cache.find(key()) == PLAN
    assert cache.find(key(gpu=Gpu("NVIDIA H200", (9, 0)))) == PLAN
    assert cache.find(key(gpu=Gpu("NVIDIA T4", (7, 5)))) is None
    assert cache.find(key(tensorrt="11.5.0.2")) is None


def test_an_engine_for_this_very_gpu_is_preferred(cache):
    cache.keep(key().for_all_gpus(), b"for many")
    cache.keep(key(), PLAN)
    assert cache.find(key()) == PLAN


def test_timings_are_kept_for_each_gpu_and_version(cache):
    assert cache.timings(key()) == b""
    cache.keep_timings(key(), b"L4")
    cache.keep_timings(OTHERS["gpu"][0], b"H200")
    assert cache.timings(key()) == b"L4"
    assert cache.timings(key(model=b"other")) == b"L4"
    assert cache.timings(OTHERS["gpu"][0]) == b"H200"
    assert cache.timings(OTHERS["version"][0]) == b""


def test_the_folder_is_its_owners_alone(cache):
    cache.keep(key(), PLAN)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_a_full_disk_leaves_nothing_half_written(small_disk):
    cache = EngineCache(small_disk / "engines")
    with pytest.raises(OutputError, match="enough space"):
        cache.keep(key(), bytes(1 << 20))
    assert list(cache.folder.iterdir()) == []
    assert cache.find(key()) is None


def test_the_users_cache_is_where_the_variable_says(monkeypatch):
    monkeypatch.setenv("SCNAS_CACHE", "/somewhere")
    assert user_engines().folder == Path("/somewhere/tensorrt")
    monkeypatch.delenv("SCNAS_CACHE")
    assert user_engines().folder.parts[-2:] == ("scnas", "tensorrt")


def test_the_engine_that_is_dropped_is_the_one_that_would_be_found(cache):
    cache.keep(key().for_all_gpus(), b"for many")
    cache.keep(key(), PLAN)
    cache.drop(key())
    assert cache.find(key()) == b"for many"
    cache.drop(key())
    assert cache.find(key()) is None
    cache.drop(key())
