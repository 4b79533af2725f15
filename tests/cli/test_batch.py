"""scnas batch: every study once, whatever happens to the command meanwhile."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scnas_deploy.cli.batch import _memory as study_memory
from scnas_deploy.data.nifti import load_nifti
from scnas_deploy.inference import memory
from scnas_deploy.inference.model import load_model
from tests.jobs.archive import assert_all_done_once, masks, read_summary, write_archive, write_scans

_PATIENCE_SECONDS = 120


@pytest.fixture
def archive(with_model, phantom_dataset):
    """Write a manifest of so many studies."""
    return lambda num_studies: write_archive(with_model.folder, phantom_dataset, num_studies)


def start(scnas, *arguments) -> subprocess.Popen:
    """Start the command in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [str(scnas.program), "batch", *map(str, arguments)],
        cwd=scnas.folder,
        env={**os.environ, "SCNAS_MODELS": str(scnas.models)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end_at(process: subprocess.Popen, folder: Path, num_masks: int, end) -> str:
    """End the command once it has written so many masks, and return what it said."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(masks(folder)) < num_masks:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    end(process)
    return process.communicate(timeout=_PATIENCE_SECONDS)[1]


def kill_group(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)


def test_a_folder_becomes_masks_and_a_summary_and_the_same_call_does_nothing_twice(
    with_model, phantom_dataset, exported
):
    folder, out = with_model.folder / "scans", with_model.folder / "scans_seg"
    folder.mkdir()
    *scans, late = write_scans(folder, phantom_dataset, 4)
    late.rename(folder / "DOE_JOHN.nii")
    complete = (folder / "DOE_JOHN.nii").read_bytes()
    (folder / "DOE_JOHN.nii").write_bytes(complete[:1000])
    result = with_model("batch", "scans", "--workers", "2", status=3)
    assert "3 done, 1 failed" in result.stdout
    bad, *good = read_summary(out)
    assert (bad["id"], bad["state"], bad["attempts"], bad["note"]) == ("DOE_JOHN", "failed", "1", "")
    assert "cut off" in bad["error"]
    assert "DOE" not in bad["error"]
    model = load_model(exported.package, num_threads=1)  # two workers share the cores
    for row, scan in zip(good, scans, strict=True):
        expected = model.segment(load_nifti(scan))
        np.testing.assert_array_equal(np.asanyarray(nib.load(row["output"]).dataobj), expected.labels_XYZ)
        assert (row["id"], row["state"], row["model digest"]) == (scan.stem, "done", expected.model_digest)
        assert float(row["front ml"]) == pytest.approx(expected.volumes_ml()["front"], abs=1e-4)

    before = masks(out)
    corrected = out / f"{scans[1].stem}_seg.nii.gz"
    corrected.write_bytes(b"corrected by hand")
    (folder / "DOE_JOHN.nii").write_bytes(complete)
    counts = json.loads(with_model("batch", "scans", "--json").stdout)
    assert counts.pop("seconds") > 0
    assert counts == {"summary": "scans_seg/summary.csv", "studies": 4, "done": 3, "kept": 1}
    assert [row["state"] for row in read_summary(out)] == ["done", "done", "kept", "done"]
    assert corrected.read_bytes() == b"corrected by hand"
    after = masks(out)
    assert all(after[name] == time_ns for name, time_ns in before.items() if name != corrected.name)


@pytest.mark.soak
def test_killed_and_called_again_every_study_is_there_once(with_model, archive):
    manifest, out = archive(12), with_model.folder / "out"
    end_at(start(with_model, manifest, "-o", "out"), out, 3, kill_group)
    before = masks(out)
    with_model("batch", manifest, "-o", "out")
    assert_all_done_once(out, 12)
    after = masks(out)
    assert sum(after[name] != time_ns for name, time_ns in before.items()) <= 1  # the one that was being done


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_asked_to_stop_it_gives_back_its_study_and_says_how_to_go_on(with_model, archive, number):
    manifest, out = archive(60), with_model.folder / "out"
    process = start(with_model, manifest, "-o", "out")
    said = end_at(process, out, 2, lambda process: process.send_signal(number))
    assert process.returncode == 130
    assert "the same command goes on" in said
    states = [row["state"] for row in read_summary(out)]
    assert len(states) == 60
    assert set(states) == {"done", "queued"}
    assert states.count("done") == len(masks(out))


def test_refused_before_anything_is_begun(with_model, archive):
    manifest = archive(2)
    (with_model.folder / "twins.csv").write_text("id,study\na,x.nii\na,y.nii\n")
    assert "found one for rows 2 and 3" in with_model.refused("batch", "twins.csv", status=2)
    (with_model.folder / "archive_seg").mkdir()
    (with_model.folder / "archive_seg" / "summary.csv").write_text("patient,age\n")
    assert "summary of an earlier call" in with_model.refused("batch", manifest, status=1)
    (with_model.folder / "archive_seg" / "summary.csv").unlink()
    (with_model.folder / "archive_seg").rmdir()
    assert "sqlite:///FILE" in with_model.refused("batch", manifest, "--ledger", "mysql://x", status=2)
    (with_model.models / "phantom.scnas").write_bytes(b"no model")
    assert "undamaged zip" in with_model.refused("batch", manifest, status=3)


@pytest.mark.parametrize(
    ("given", "workers", "on_ray", "limit"),
    [("3g", 4, False, 3 * 10**9), (None, 4, False, 2 * 10**9), (None, 1, False, None), (None, 4, True, None)],
)
def test_workers_of_one_machine_share_its_memory(monkeypatch, given, workers, on_ray, limit):
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 * 10**9)
    assert study_memory(given, workers, on_ray=on_ray) == limit


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2])
def test_two_hundred_studies_killed_three_times_are_each_there_once(with_model, archive, workers):
    manifest, out = archive(200), with_model.folder / "out"
    arguments = (manifest, "-o", "out", "--workers", workers)
    for num_masks in (20, 80, 150):
        end_at(start(with_model, *arguments), out, num_masks, kill_group)
    with_model("batch", *arguments)
    assert_all_done_once(out, 200)
