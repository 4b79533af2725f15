"""scnas jobs on a ledger of a server and a batch: what is shown, what is not, and what is changed."""

import json
import os
import pty
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from scnas_deploy.cli.jobs import app
from scnas_deploy.errors import ConfigError, JobError, NotFoundError
from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.arrivals import Arrivals
from scnas_deploy.serve.work import DELIVER, SEGMENT, DeliveryWork, StudyWork

STUDY_UID = "1.2.826.0.1.3680043.8.498.42"
SERIES_UID = "1.2.826.0.1.3680043.8.498.43"
LONG_ERROR = "expected a study of one series for channel 0, found three that fit. Name the series to be segmented."


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/ledger.db"


def study_work(**changes):
    told = {"source": "dicom", "submitted_by": "MODALITY", "folder": "incoming/ab", "files": ("DOE^JOHN.dcm",)}
    told |= {"rule": "brains", "model": "hippocampus", "model_digest": "d" * 64, "formats": (Format.SEG, Format.SR)}
    told |= {"destinations": ("pacs",), "series": (SERIES_UID,)}
    return StudyWork(**told, **changes).model_dump(mode="json", by_alias=True)


@pytest.fixture
def ledger(url):
    """Job 1 is done, 2 dead, 3 waits, 4 is the delivery of 1, and 5 is a study of a batch, whose paths are names."""
    with Ledger(url) as opened:
        jobs = [
            NewJob(key=f"DOE^JOHN {n}", kind=SEGMENT, payload=study_work(), priority=10, max_attempts=1)
            for n in range(3)
        ]
        opened.enqueue(SEGMENT, jobs)
        lease = opened.claim("w", queue=SEGMENT, lease_s=60.0)
        delivery = DeliveryWork(destination="pacs", study_job=lease.job.id, folder="results/ab", files=())
        told = delivery.model_dump(mode="json", by_alias=True)
        follow = NewJob(key="d", kind=DELIVER, payload=told, max_attempts=5)
        opened.done(lease, {"stage": "finished", "volumes_ml": {"DOE": 1.0}, "seconds": 9.5}, {DELIVER: [follow]})
        opened.fail(opened.claim("w", queue=SEGMENT, lease_s=60.0), LONG_ERROR, retry_in_s=1.0)
        payload = {"studies": ["/scans/DOE^JOHN.nii"], "output": "/out/DOE^JOHN_seg.nii", "model": "DOE^JOHN"}
        opened.enqueue("ab" * 32, [NewJob(key="k", kind="study", payload=payload)])
        yield opened


def call(*arguments, env=None):
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"SCNAS_SERVE_SETTINGS": "", **(env or {})})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_jobs_are_listed_newest_first_with_what_they_are_about_and_no_patient(ledger, url):
    said = call("--ledger", url)
    lines = [line.split() for line in said.splitlines()]
    assert [line[:3] for line in lines[1:]] == [
        ["5", "abababab", "queued"],
        ["4", "deliver", "queued"],
        ["3", "segment", "queued"],
        ["2", "segment", "dead"],
        ["1", "segment", "done"],
    ]
    assert "1 to pacs" in said
    assert "hippocampus by brains" in said
    assert LONG_ERROR in said
    assert "1 of 1" in said
    assert "DOE" not in said
    assert SERIES_UID not in said


def test_jobs_are_listed_by_state_and_number_for_programs_too(ledger, url):
    listed = json.loads(call("--ledger", url, "--state", "queued", "--state", "dead", "--limit", 3, "--json"))
    assert [(job["job"], job["state"]) for job in listed] == [(5, "queued"), (4, "queued"), (3, "queued")]
    assert listed[2]["rule"] == "brains"
    assert json.loads(call("--ledger", url, "--state", "failed", "--json")) == []
    assert "DOE" not in call("--ledger", url, "--json")


def test_one_job_is_shown_with_all_that_names_no_patient(ledger, url):
    said = call("show", 1, "--ledger", url)
    told = dict(line.split("  ", 1) for line in said.splitlines())
    told = {name: value.strip() for name, value in told.items()}
    assert (told["state"], told["formats"], told["submitted_by"], told["seconds"]) == (
        "done",
        "dicom-seg, sr",
        "MODALITY",
        "9.5",
    )
    assert told["changed_at"].endswith(" s ago")
    assert json.loads(call("show", 2, "--ledger", url, "--json"))["error"] == LONG_ERROR
    for number in (1, 2, 4, 5):
        shown = call("show", number, "--ledger", url, "--json") + call("show", number, "--ledger", url)
        assert "DOE" not in shown
        assert SERIES_UID not in shown


def test_a_job_is_cancelled_and_tried_again(ledger, url):
    assert call("cancel", 3, "--ledger", url) == "Job 3 is cancelled.\n"
    assert ledger.find(3).state is JobState.CANCELLED
    assert call("retry", 3, "--ledger", url) == "Job 3 is queued again.\n"
    assert ledger.find(3).state is JobState.QUEUED
    with pytest.raises(JobError, match="found it done"):
        call("cancel", 1, "--ledger", url)
    with pytest.raises(JobError, match="found it done"):
        call("retry", 1, "--ledger", url)


def test_all_that_was_given_up_is_tried_again(ledger, url, monkeypatch):
    monkeypatch.setattr("scnas_deploy.cli.jobs._PAGE", 2)
    ledger.enqueue("many", [NewJob(key=str(n), kind="test", payload={}, max_attempts=1) for n in range(5)])
    for _ in range(5):
        ledger.fail(ledger.claim("w", queue="many", lease_s=9.0), "broken", retry_in_s=1.0)
    assert call("retry", "--dead", "--ledger", url) == "Jobs queued again: 6\n"
    assert ledger.listed(states=[JobState.DEAD]) == []
    assert call("retry", "--dead", "--ledger", url) == "Jobs queued again: 0\n"


@pytest.mark.parametrize(("options", "number"), [(["--failed"], 2), (["--failed", "--dead"], 3), (["--dead"], 1)])
def test_all_that_has_failed_is_tried_again_where_that_is_asked_for(ledger, url, options, number):
    """One job of the ledger is dead from the beginning."""
    ledger.enqueue("many", [NewJob(key=str(n), kind="test", payload={}) for n in range(2)])
    for _ in range(2):
        ledger.fail(ledger.claim("w", queue="many", lease_s=9.0), "refused", retry_in_s=None)
    assert call("retry", *options, "--ledger", url) == f"Jobs queued again: {number}\n"
    assert len(ledger.listed(states=[JobState.FAILED])) == (0 if "--failed" in options else 2)
    assert len(ledger.listed(states=[JobState.DEAD])) == (0 if "--dead" in options else 1)


@pytest.mark.parametrize("arguments", [["retry"], ["retry", "3", "--dead"], ["retry", "3", "--failed"]])
def test_a_retry_names_a_job_or_all_dead_or_failed_ones(ledger, url, arguments):
    with pytest.raises(ConfigError, match="--dead, --failed or both"):
        call(*arguments, "--ledger", url)


@pytest.mark.parametrize("command", ["show", "cancel", "retry"])
def test_a_job_that_is_not_there_is_said_so(ledger, url, command):
    with pytest.raises(NotFoundError, match="job 99"):
        call(command, 99, "--ledger", url)


def test_jobs_are_counted_by_queue_and_state(ledger, url):
    counted = json.loads(call("counts", "--ledger", url, "--json"))
    assert counted.keys() == {SEGMENT, DELIVER, "ab" * 32}
    assert (counted[SEGMENT]["done"], counted[SEGMENT]["dead"], counted[SEGMENT]["queued"]) == (1, 1, 1)
    header, *rows = call("counts", "--ledger", url).splitlines()
    assert header.split() == ["queue", *JobState]
    assert ["segment", "1", "0", "1", "0", "1", "0"] in [row.split() for row in rows]


def test_arrived_studies_are_listed_and_their_uids_where_asked_for(ledger, url):
    arrivals = Arrivals(ledger)
    for uid in ("1.2.3", STUDY_UID):
        arrivals.touch(uid, "SCNAS", "MODALITY")
    ((first), _) = sorted(arrivals.quiet(-1.0), key=lambda study: len(study.study_uid))
    arrivals.close(first, num_objects=3, outcome="no rule fits")
    said = call("arrivals", "--ledger", url)
    assert STUDY_UID not in said
    header, *rows = said.splitlines()
    assert header.split() == ["age", "objects", "from", "to", "outcome"]
    assert sorted("still open" in row for row in rows) == [False, True]
    assert sum("no rule fits" in row for row in rows) == 1
    assert STUDY_UID in call("arrivals", "--ledger", url, "--uids")
    listed = json.loads(call("arrivals", "--ledger", url, "--json"))
    assert sorted((study["open"], study["objects"], study["outcome"]) for study in listed) == [
        (False, 3, "no rule fits"),
        (True, 0, ""),
    ]
    assert "study_uid" not in listed[0]
    assert json.loads(call("arrivals", "--ledger", url, "--json", "--uids", "--limit", 1))[0]["study_uid"]


def test_the_ledger_is_named_before_or_after_the_command_or_by_a_servers_settings(ledger, url, tmp_path):
    settings = tmp_path / "serve.toml"
    settings.write_text(f'spool = "spool"\nledger = "{url}"\n')
    expected = call("counts", "--ledger", url, "--json")
    assert call("--ledger", url, "counts", "--json") == expected
    assert call("counts", "--settings", settings, "--json") == expected
    assert call("--settings", settings, "counts", "--json") == expected
    assert call("counts", "--json", env={"SCNAS_SERVE_SETTINGS": str(settings)}) == expected
    elsewhere = {"SCNAS_SERVE_SETTINGS": str(tmp_path / "nowhere.toml")}
    assert call("counts", "--ledger", url, "--json", env=elsewhere) == expected
    assert call("--ledger", url, "counts", "--json", env=elsewhere) == expected


def test_a_ledger_that_is_not_named_or_not_there_is_refused_and_not_made(tmp_path):
    with pytest.raises(ConfigError, match="Name one of them, or set SCNAS_SERVE_SETTINGS"):
        call("counts")
    with pytest.raises(ConfigError, match="Start the server first"):
        call("--ledger", f"sqlite:///{tmp_path}/nothing.db")
    assert not (tmp_path / "nothing.db").exists()


def test_the_first_page_of_a_terminal_of_80_columns_breaks_no_number(ledger, url):
    """And a pipe gets one line a job."""
    reader, writer = pty.openpty()
    program = "from scnas_deploy.cli.jobs import app; app()"
    command = [sys.executable, "-c", program, "--ledger", url]
    env = {**os.environ, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    subprocess.run(command, env=env, stdout=writer, stderr=writer, check=True)
    os.close(writer)
    lines = os.read(reader, 100_000).decode().splitlines()
    os.close(reader)
    assert max(map(len, lines)) <= 80
    heads = [line.split()[:3] for line in lines if line[:1].isdigit()]
    assert [head[0] for head in heads] == ["5", "4", "3", "2", "1"]
    assert [head[2] for head in heads] == ["queued", "queued", "queued", "dead", "done"]
    piped = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert len(piped.splitlines()) == 6


def test_no_command_is_forgotten():
    commands = typer.main.get_command(app).commands
    assert commands.keys() == {"show", "cancel", "retry", "counts", "arrivals"}
