"""Engines are measured in processes of their own: what one does there harms no other."""

import multiprocessing
import os
import signal
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

import scnas_deploy
from scnas_deploy.data.example import example_study
from scnas_deploy.errors import EngineError, FormatError, MissingExtraError, PackageError
from scnas_deploy.inference import bench, bench_process, bench_worker
from scnas_deploy.inference.bench import BenchOptions, bench_engines
from scnas_deploy.inference.bench_process import EngineProcess
from scnas_deploy.inference.bench_worker import EngineTask
from scnas_deploy.inference.package import CANARY, open_package
from scnas_deploy.inference.trust import Trust
from tests.inference.conftest import EngineFake, constant_logits, rewrite

SHIPPED = Path(scnas_deploy.__file__).parent / "shipped" / "hippocampus.scnas"


@pytest.fixture(scope="module")
def shipped():
    return open_package(SHIPPED)


@pytest.fixture(scope="module")
def study(shipped):
    return example_study(shipped.plan)


@pytest.mark.soak
def test_an_engine_whose_process_dies_is_a_row_and_the_others_are_measured(shipped, study):
    options = BenchOptions(engines=("onnxruntime", "openvino"), num_threads=1, repeats=2)
    turns = []

    def kill_the_first(done, total, words):
        turns.append((done, total, words.split()[0]))
        if done == 1:
            first = min(multiprocessing.active_children(), key=lambda process: process.pid)
            os.kill(first.pid, signal.SIGKILL)

    result = bench_engines(shipped, study, options, kill_the_first)
    killed, *measured = result.engines
    assert "SIGKILL" in killed.error
    assert killed.engine.startswith("onnxruntime ")
    assert (killed.patches_per_second, killed.peak_bytes) == (None, None)
    assert all(row.error is None and row.patches_per_second > 0 for row in measured)
    rows = [(row.engine.split()[0], row.precision) for row in result.engines]
    assert rows == [
        ("onnxruntime", "float32"),
        ("openvino", "float32"),
        ("openvino", "int8"),
    ]
    assert turns == [(number, 2 * len(rows), kind) for number, (kind, _) in enumerate([*rows, *rows], 1)]
    assert not multiprocessing.active_children()


def test_where_every_engine_answers_wrongly_the_error_names_each(shipped, study, tmp_path):
    canary, wrong = shipped.canary, BytesIO()
    arrays = {"patches": canary.patches_BCXYZ, "logits": canary.logits_BKXYZ + 100, "classes": canary.classes_XYZ}
    np.savez(wrong, **arrays)
    package = open_package(rewrite(SHIPPED, tmp_path / "wrong.scnas", members={CANARY: wrong.getvalue()}))
    with pytest.raises(EngineError, match="canary") as refused:
        bench_engines(package, study, BenchOptions(num_threads=1))
    assert {"openvino", "onnxruntime"} <= set(str(refused.value).replace(";", " ").split())


def test_a_process_that_does_not_answer_is_given_up(shipped, study, monkeypatch):
    monkeypatch.setattr(bench_process, "_PATIENCE_SECONDS", 0.0)
    process = EngineProcess(
        EngineTask(package=SHIPPED, engine="openvino", precision="float32", num_threads=1, study=study)
    )
    with pytest.raises(EngineError, match="none after 0 s"):
        process.opened()
    process.close()
    assert not multiprocessing.active_children()


def test_the_process_too_judges_the_signature(study, tmp_path):
    """The file may have been replaced since the command has read it."""
    demanding = Trust(folder=tmp_path, required=True)
    task = EngineTask(
        package=SHIPPED, engine="openvino", precision="float32", num_threads=1, study=study, trust=demanding
    )
    with closing(EngineProcess(task)) as process, pytest.raises(PackageError, match="found no signature"):
        process.opened()


def test_whose_signatures_count_reaches_every_engines_process(shipped, study, tmp_path):
    trust = Trust(folder=tmp_path)
    tasks = bench._tasks(shipped, study, BenchOptions(trust=trust))
    assert len(tasks) > 1
    assert all(task.trust == trust for task in tasks)


def test_a_study_of_other_channels_is_refused_before_anything_starts(shipped, study):
    two = type(study)(data=np.repeat(study.data, 2, axis=0), affine_ras=study.affine_ras)
    with pytest.raises(FormatError, match="1 channel"):
        bench_engines(shipped, two, BenchOptions())


def test_where_no_engine_is_installed_the_command_to_install_one_is_named(shipped, study, monkeypatch):
    monkeypatch.setattr(bench, "installed_engines", lambda **_: ())
    with pytest.raises(MissingExtraError, match=r"scnas-deploy\[cpu\]"):
        bench_engines(shipped, study, BenchOptions())


def test_patches_of_all_threads_count():
    engine = EngineFake(constant_logits(1.0, 0.0))
    engine.concurrency = 3
    rate = bench_worker._patches_per_second(engine, np.zeros((2, 1, 4, 4, 4), dtype=np.float32), 0.0)
    assert engine.batches == [2, 2, 2]
    assert rate > 0
