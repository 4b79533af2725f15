"""Every command on a terminal of 80 columns, without colour, in ASCII and in a pipe."""

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.phantom import draw_dataset
from scnas_deploy.cli import export_run
from scnas_deploy.cli.remote_server import RemoteServer
from scnas_deploy.inference.package import open_package
from scnas_deploy.jobs.job import JobState, NewJob
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.arrivals import Arrivals
from scnas_deploy.serve.catalog import ModelDescription
from scnas_deploy.serve.rpc.values import ListedJob
from scnas_deploy.training.runs import save_evaluation
from tests.cli.test_options import OPTIONS
from tests.in_process import scnas_here
from tests.inference.conftest import SHIPPED
from tests.terminals import on_terminal, scnas_on_terminal
from tests.training.scores import make_evaluation

ERROR = (
    "expected a study whose spacing lies between 0.5 and 2.0 mm, found 5.0 x 0.4 x 0.4 mm. Take another series, or "
    "segment it all the same with --force."
)
STUDY_UID = "1.2.826.0.1.3680043.8.498." + "7" * 38
ORGANS = [
    "spleen",
    "right kidney",
    "left kidney",
    "gallbladder",
    "oesophagus",
    "liver",
    "stomach",
    "inferior vena cava",
]
WIDTH = 80


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with a ledger, two evaluations and a small dataset."""
    monkeypatch.setenv("SCNAS_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("SCNAS_SERVE_SETTINGS", "")
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.enqueue("ab" * 32, [NewJob(key=str(n), kind="study", payload={}, max_attempts=3) for n in range(3)])
        ledger.fail(ledger.claim("worker", queue="ab" * 32, lease_s=60.0), ERROR, retry_in_s=1.0)
        arrivals = Arrivals(ledger)
        arrivals.touch(STUDY_UID, "A_SERVER_OF_SCNA", "MODALITY_AE_MR_1")
        (study,) = arrivals.quiet(-1.0)
        arrivals.close(study, num_objects=1203, outcome="2 results of hippocampus delivered to pacs-main")
    for run, dice in {"first": 0.5, "second": 0.75}.items():
        (tmp_path / "runs" / run).mkdir(parents=True)
        scores = {organ: [dice + number / 8192, dice] for number, organ in enumerate(ORGANS)}
        save_evaluation(tmp_path / "runs" / run, make_evaluation(scores, subject=run, hd95_mm=12.3456))
    draw_dataset(tmp_path / "phantom", num_cases=2)
    return tmp_path


@pytest.fixture
def server(monkeypatch) -> None:
    """A server that answers with a long list, in place of the one that is asked."""
    when = datetime(2026, 3, 1, 12, 30, 45, tzinfo=UTC)
    common = {"stage": None, "model_digest": "d" * 64, "num_attempts": 1, "enqueued_at": when, "changed_at": when}

    class Client:
        def jobs(self, states):
            yield ListedJob(
                job=12034, state=JobState.FAILED, fraction=0.375, model="brain tissues", error=ERROR, **common
            )
            yield ListedJob(job=7, state=JobState.DONE, fraction=1.0, model="hippocampus", error="", **common)

        def models(self):
            more = {"digest": "d" * 64, "channels": ("CT",), "precisions": ("float32",)}
            yield ModelDescription(
                name="abdomen", is_default=True, labels=tuple(ORGANS), dice=0.9132, problem="", **more
            )

    @contextmanager
    def connected(_):
        yield Client()

    monkeypatch.setattr(RemoteServer, "connected", connected)


LEDGER = ("jobs", "--ledger", "sqlite:///ledger.db")
CALLS = {
    "doctor": ("doctor",),
    "models": ("models",),
    "init": ("init", "phantom", "--project", "project"),
    "jobs": LEDGER,
    "counts": (*LEDGER, "counts"),
    "show": (*LEDGER, "show", "1"),
    "arrivals": (*LEDGER, "arrivals", "--uids"),
    "compare": ("evaluate", "--compare", "first", "second"),
    "remote jobs": ("remote", "jobs"),
    "remote models": ("remote", "models"),
}


def words_of(text: str) -> set[str]:
    """Words, numbers and identifiers, which must be found whole; ages and dates, which change, are left out."""
    words = {word.strip("(),;:") for word in text.split()}
    return {word for word in words if not re.fullmatch(r"\d{1,3}|.*\d:\d.*|\d+-\d.*", word)}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", CALLS)
def test_a_command_fits_a_terminal_and_says_there_what_it_says_in_a_pipe(here, name):
    piped = scnas_here(here, *CALLS[name], environment={"FORCE_COLOR": "1", "COLUMNS": "80"})
    assert "\x1b" not in piped.stdout + piped.stderr
    shown = scnas_on_terminal(here, *CALLS[name])
    assert (piped.returncode, shown.status) == (0, 0)
    long = [line for line in shown.lines if len(line) > WIDTH and " " in line.strip()]
    assert not long
    _, _, rows = piped.stdout.partition("\n")  # a column below its rows has its head only where it has a cell
    assert words_of(rows)
    assert words_of(rows) <= words_of(" ".join(shown.lines))


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", CALLS)
def test_without_colour_and_beyond_ascii_nothing_is_lost(here, name):
    plain = scnas_on_terminal(here, *CALLS[name], NO_COLOR="1")
    assert (plain.status, plain.colours) == (0, [])
    dumb = scnas_on_terminal(here, *CALLS[name], TERM="dumb", encoding="ascii")
    assert dumb.status == 0
    assert "\x1b" not in dumb.raw
    said = " ".join(line for line in plain.lines if not line.startswith("Reading cases"))
    lost = words_of(said) - words_of(" ".join(dumb.lines))
    assert not [word for word in lost if word.isascii()]


def test_names_that_the_encoding_lacks_are_escaped(here):
    """A label of a dataset and the name of a file may hold any letter."""
    description = here / "phantom" / "dataset.json"
    description.write_text(description.read_text().replace('"front"', '"Großhirn"'))
    shown = scnas_on_terminal(here, *CALLS["init"], encoding="ascii", TERM="dumb")
    assert shown.status == 0
    assert "Gro\\xdfhirn" in shown.raw
    refused = scnas_on_terminal(here, "init", b"caf\xe9".decode("utf-8", "surrogateescape"))
    assert refused.status == 3


def test_the_proof_of_an_export_fits(tmp_path):
    manifest = open_package(SHIPPED).manifest
    target = tmp_path / "m.scnas"
    target.write_bytes(b"")
    shown = on_terminal(lambda: export_run._print(manifest, target))
    assert all(len(line) <= WIDTH for line in shown.lines if str(tmp_path) not in line)
    for record in (record for artefact in manifest.artefacts for record in artefact.parity):
        assert any(line.startswith(record.engine) for line in shown.lines)
        assert f"{record.max_abs_error:.2e}" in " ".join(shown.lines).split()


def test_real_images_are_segmented_within_80_columns(here, scnas_data):
    study = sorted((scnas_data / "Task04_Hippocampus" / "imagesTr").glob("hippocampus_*.nii.gz"))[0]
    shown = scnas_on_terminal(here, "segment", study)
    assert shown.status == 0
    assert all(len(line) <= WIDTH for line in shown.lines)
    assert any(re.fullmatch(r"Anterior +\d+\.\d{3}", line) for line in shown.lines)
    piped = scnas_here(here, "segment", study, "--json", environment={})
    assert json.loads(piped.stdout)["volumes_ml"].keys() == {"Anterior", "Posterior"}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("segment", "nothing.nii.gz"), 3), (LEDGER[:1], 2), ((*LEDGER, "retry"), 2), (("sign", "a.scnas"), 2)],
)
def test_a_refusal_is_broken_at_spaces_on_a_terminal_and_one_line_elsewhere(here, arguments, status):
    shown = scnas_on_terminal(here, *arguments)
    piped = scnas_here(here, *arguments, environment={})
    assert (shown.status, piped.returncode) == (status, status)
    assert all(len(line) <= WIDTH for line in shown.lines)
    assert " ".join(shown.lines) == piped.stderr.strip()
    assert piped.stderr.count("\n") == 1


def test_an_empty_ledger_says_so(here):
    with Ledger(f"sqlite:///{here}/empty.db"):
        pass
    for command in ((), ("counts",), ("arrivals",)):
        result = scnas_here(here, "jobs", "--ledger", "sqlite:///empty.db", *command, environment={})
        assert (result.stdout, result.stderr.startswith("No ")) == ("", True)


@pytest.mark.parametrize("command", ["", *OPTIONS])
def test_help_fits_80_columns_and_is_cut_nowhere(tmp_path, command):
    lines = scnas_here(tmp_path, *command.split(), "--help", environment={}).stdout.splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage:")]
    broken = re.compile(r"(^|\s)(--[\w-]+|scnas)-$")  # the name of an option or a file, which is copied
    assert not [line for line in lines if broken.search(line)]
