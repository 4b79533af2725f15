"""scnas export --trt: engines for the GPU of the machine where the package is used."""

import copy
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scnas_deploy.cli.export_tensorrt import TensorRtRequest, build_engines, build_engines_here
from scnas_deploy.cli.main import app
from scnas_deploy.inference.model import load_model
from scnas_deploy.inference.tensorrt.cache import EngineCache
from tests.inference.tensorrt.cuda_fake import CudaFake
from tests.inference.tensorrt.tensorrt_fake import fake_gpu


def test_without_tensorrt_the_extra_is_named(scnas, exported):
    message = scnas.refused("export", exported.package, "--trt", status=4)
    assert "pip install 'scnas-deploy[gpu]'" in message


def test_without_a_gpu_it_is_said_to_be_the_wrong_machine(scnas, exported, tmp_path, monkeypatch):
    (tmp_path / "tensorrt.py").touch()
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{sys.path[0]}:{':'.join(sys.path)}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    message = scnas.refused("export", exported.package, "--trt", status=1)
    assert "expected an NVIDIA GPU, for which the engine is built, found none" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected --trt or --triton DIR with a package"),
        (["--workspace", "4g"], "--trt beside --precision"),
        (["--trt", "--workspace", "lots"], "--workspace: expected an amount"),
    ],
)
def test_a_call_that_says_too_little_or_nonsense_is_a_usage_error(arguments, words, scnas, exported):
    assert words in scnas.refused("export", exported.package, *arguments, status=2)


def test_after_an_export_elsewhere_the_command_for_the_target_is_printed(exported, capsys):
    with fake_gpu(CudaFake(None)):
        asked = TensorRtRequest(precision="float16", workspace="4g", hardware_compatible=True)
        build_engines_here(exported.package, asked)
    said = capsys.readouterr().out
    assert "for want of an NVIDIA GPU. The package is complete" in said
    options = "--trt --precision float16 --workspace 4g --hardware-compatible"
    assert said.endswith(f"without PyTorch: scnas export phantom.scnas {options}\n")


def test_what_is_missing_is_said(exported, capsys):
    build_engines_here(exported.package, TensorRtRequest())
    said = capsys.readouterr().out
    assert "TensorRT. The package is complete" in said
    assert said.endswith("scnas export phantom.scnas --trt\n")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> EngineCache:
    monkeypatch.setenv("SCNAS_CACHE", str(tmp_path / "cache"))
    return EngineCache(tmp_path / "cache" / "tensorrt")


@pytest.fixture
def gpu(cache, monkeypatch):
    monkeypatch.setattr("scnas_deploy.inference.tensorrt.preparation._REPEATS", 1)
    with fake_gpu() as trt:
        yield trt


def export(*arguments):
    result = CliRunner().invoke(app, ["export", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_engine_is_built_proven_kept_and_then_used(gpu, cache, exported):
    printed = export(exported.package, "--trt")
    (engine,) = cache.folder.glob("*.engine")
    assert re.search(rf"float32 +\d+ +[\d.]+ +[\d.]+ \(16\) +{engine}", printed)
    assert "Built by tensorrt 11.4.0.106 for NVIDIA Fake; each has answered the package's canary" in printed
    assert load_model(exported.package).engine.name == "tensorrt 11.4.0.106"
    assert len(gpu.builds) == 1


def test_the_options_reach_the_builder_and_a_compatible_engine_serves_other_gpus(gpu, cache, exported):
    printed = export(exported.package, "--trt", "--workspace", "2g", "--hardware-compatible")
    assert gpu.builds[0].pool_limits == {gpu.MemoryPoolType.WORKSPACE: 2_000_000_000}
    assert "for any NVIDIA GPU from Ampere on" in printed
    with fake_gpu(CudaFake(("NVIDIA Other", 9, 0))) as other:
        assert load_model(exported.package).engine.name.startswith("tensorrt ")
        assert other.builds == []


def test_building_again_starts_with_the_timings_of_the_first(gpu, cache, exported):
    for _ in range(2):
        export(exported.package, "--trt")
    assert [build.timing_cache.timed["networks"] for build in gpu.builds] == [1, 2]


def test_each_precision_of_the_package_is_built(gpu, cache, in_all_precisions):
    printed = export(in_all_precisions.package, "--trt")
    assert [line.split()[0] for line in printed.splitlines()[1:3]] == ["float16", "float32"]
    assert len(list(cache.folder.glob("*.engine"))) == 2
    assert load_model(in_all_precisions.package).engine.precision == "float16"
    assert len(gpu.builds) == 2


def test_one_precision_may_be_chosen(gpu, cache, in_all_precisions):
    export(in_all_precisions.package, "--trt", "--precision", "float32")
    assert len(list(cache.folder.glob("*.engine"))) == 1


def test_beside_a_repository_the_engine_goes_into_it(gpu, cache, in_all_precisions, tmp_path):
    printed = export(in_all_precisions.package, "--trt", "--triton", tmp_path / "repository")
    version = tmp_path / "repository" / "precisions" / "1"
    (engine,) = (path for path in cache.folder.glob("*.engine") if b'"float32"' in path.read_bytes().splitlines()[0])
    assert engine.read_bytes().endswith(b"\n" + (version / "model.plan").read_bytes())
    assert "its server must have that, and tensorrt 11.4.0.106" in printed
    assert "Wrote version 1 of model precisions" in printed


def test_elsewhere_nothing_goes_into_the_repository_and_the_command_says_it_will(exported, capsys):
    with fake_gpu(CudaFake(None)):
        assert build_engines_here(exported.package, TensorRtRequest(triton=Path("models"))) == ()
    assert capsys.readouterr().out.endswith("scnas export phantom.scnas --trt --triton models\n")


def test_a_precision_that_the_package_lacks_is_refused(gpu, exported):
    from scnas_deploy.errors import ConfigError

    with pytest.raises(ConfigError, match="--precision: expected one that TensorRT runs and the package has: float32"):
        export(exported.package, "--trt", "--precision", "float16")


@pytest.mark.parametrize("spoilt", [1, 16], ids=["alone", "in a full batch"])
def test_an_engine_that_answers_wrongly_is_not_kept(spoilt, gpu, cache, exported, monkeypatch):
    """Some engines answer a single patch rightly, and another batch wrongly."""
    from scnas_deploy.errors import EngineError
    from scnas_deploy.inference.tensorrt.runtime import Lane

    run = Lane.run

    def spoil(lane, patches):
        logits = run(lane, patches)
        if len(patches) == spoilt:
            logits[-1] = 0
        return logits

    monkeypatch.setattr(Lane, "run", spoil)
    with pytest.raises(EngineError, match=r"canary answer|mixes up patches"):
        export(exported.package, "--trt")
    assert not cache.folder.exists()


def test_a_build_that_is_interrupted_keeps_nothing(gpu, cache, exported, monkeypatch):
    monkeypatch.setattr("scnas_deploy.inference.tensorrt.progress._INTERVAL_SECONDS", 0.001)

    def interrupt(state, progress):
        gpu.step.set()
        raise KeyboardInterrupt

    gpu.step.clear()
    monkeypatch.setattr("scnas_deploy.inference.tensorrt.progress._report", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_engines(exported.package, TensorRtRequest())
    assert not cache.folder.exists()


def test_after_an_export_the_engine_must_pass_the_parity_gate(gpu, cache, exported):
    from scnas_deploy.errors import ParityError
    from scnas_deploy.export.parity import RealPatches
    from scnas_deploy.export.proof import gate_of

    real = [RealPatches(patches) for patches in exported.patches[:2]]
    wrong = copy.deepcopy(exported.network)
    for parameters in wrong.parameters():
        parameters.data.mul_(1.1)
    with pytest.raises(ParityError, match="tensorrt "):
        build_engines_here(exported.package, TensorRtRequest(), gate_of(wrong, real))
    assert not cache.folder.exists()
    build_engines_here(exported.package, TensorRtRequest(), gate_of(exported.network, real))
    assert len(list(cache.folder.glob("*.engine"))) == 1
