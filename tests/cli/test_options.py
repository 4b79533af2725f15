"""Every name that the command line takes, short and negative ones and sub-commands included."""

import pytest
import typer

from scnas_deploy.cli.main import app

RUN_OPTIONS = {"--preset", "--fold", "--seed", "--epochs", "--steps-per-epoch", "--resume", "--gpus"}
BUDGET_OPTIONS = {"--budget-gmacs", "--budget-bytes", "--budget-ms", "--costs", "--stem-channels"}

OPTIONS = {
    "init": {"dataset", "--project", "--skip-bad", "--json"},
    "search": {"--project", "--name", "--space", "--sampling", "--betas", "--tau", "--checkpointing", "--json"}
    | RUN_OPTIONS
    | BUDGET_OPTIONS,
    "train": {"--project", "--genotype", "--name", "--stem-channels", "--target-gmacs"} | RUN_OPTIONS,
    "transfer": {
        "genotype",
        "dataset",
        "--project",
        "--name",
        "--preset",
        "--fold",
        "--seed",
        "--epochs",
        "--steps-per-epoch",
        "--gpus",
    },
    "baseline": {"kind", "-o", "--output", "--project", "--target-gmacs", "--seed"},
    "evaluate": {
        "--project",
        "--name",
        "-m",
        "--model",
        "--fold",
        "--engine",
        "--precision",
        "--mirror",
        "--report",
        "--compare",
        "--json",
    },
    "cross-validate": {
        "--project",
        "--space",
        "--preset",
        "--folds",
        "--seeds",
        "--genotype",
        "--epochs",
        "--steps-per-epoch",
        "--jobs",
        "--json",
    },
    "export": {
        "package",
        "--triton",
        "--trt",
        "--precision",
        "--workspace",
        "--hardware-compatible",
        "--project",
        "--name",
        "--as",
        "-o",
        "--output",
        "--weights",
        "--no-weights",
        "--fp16",
        "--int8",
        "--install",
        "--no-install",
    },
    "segment": {
        "study",
        "-m",
        "--model",
        "-o",
        "--output",
        "--engine",
        "--precision",
        "--threads",
        "--mirror",
        "--max-memory",
        "--probabilities",
        "--force",
        "--format",
        "--explain",
        "--series",
        "--allow",
        "--audit",
        "--view",
        "--no-browser",
        "--require-signature",
        "--json",
    },
    "view": {"study", "masks", "--truth", "-m", "--model", "--series", "--allow", "--save", "--no-browser"},
    "batch": {
        "manifest",
        "-m",
        "--model",
        "-o",
        "--output",
        "--ledger",
        "--workers",
        "--engine",
        "--precision",
        "--threads",
        "--mirror",
        "--max-memory",
        "--force",
        "--retries",
        "--ray",
        "--require-signature",
        "--json",
    },
    "bench": {"-m", "--model", "--study", "--engine", "--threads", "--repeats", "--picture", "--report", "--json"}
    | {"--ops", "--project", "--stem-channels", "-o", "--output"},
    "draw": {"source", "-o", "--output"},
    "report": {"source", "other", "-o", "--output", "--watch", "--no-browser", "--project"},
    "models": {"--json"},
    "models install": {"package", "--require-signature"},
    "models amend": {"package", "-o", "--output", "--project"},
    "models default": {"name"},
    "sign": {"package", "--key", "-o", "--output", "--verify", "--new-key", "--passphrase"},
    "doctor": {"--json"},
    "serve": {"settings", "--check", "--json"},
    "jobs": {"--ledger", "--settings", "--state", "--limit", "--json"},
    "jobs show": {"job", "--ledger", "--settings", "--json"},
    "jobs cancel": {"job", "--ledger", "--settings"},
    "jobs retry": {"job", "--dead", "--failed", "--ledger", "--settings"},
    "jobs counts": {"--ledger", "--settings", "--json"},
    "jobs arrivals": {"--ledger", "--settings", "--limit", "--uids", "--json"},
    "remote": {"--server", "--tls", "--ca", "--certificate", "--key", "--token-file"},
    "remote submit": {"study", "-m", "--model", "-o", "--output", "--format", "--priority", "--series", "--allow"}
    | {"--force", "--time-limit", "--idempotency-key", "--wait", "--json"},
    "remote watch": {"job", "--cancel-on-end", "--json"},
    "remote fetch": {"job", "-o", "--output", "--json"},
    "remote cancel": {"job", "--json"},
    "remote jobs": {"--state", "--limit", "--json"},
    "remote models": {"--json"},
}


def walk(group, prefix=()):
    for name, command in group.commands.items():
        yield " ".join((*prefix, name)), command
        if hasattr(command, "commands"):
            yield from walk(command, (*prefix, name))


def option_names(command) -> set[str]:
    names = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return names - {"--help"}


def test_every_command_has_these_options_and_no_others():
    commands = dict(walk(typer.main.get_command(app)))
    assert {name: option_names(command) for name, command in commands.items()} == OPTIONS


@pytest.mark.parametrize("arguments", [["segmment"], ["segment"], ["search", "--fold", "5"]])
def test_a_wrong_call_ends_with_status_2(arguments, scnas):
    result = scnas(*arguments, status=2)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
