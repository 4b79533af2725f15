"""Runs a document's blocks as a reader would, and holds what they print against what the document shows."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.docs.snippets import OUTPUT, ROOT, SHELL, blocks_of, missing_lines, outputs, script_of


def run_document(
    name: str, folder: Path, *, shortened: dict[str, str] | None = None, ports: dict[int, int] | None = None
) -> None:
    """Run a document in a folder.

    Args:
        name: Of the document, from the repository's root.
        folder: Where; a document that starts from a clone finds the clone's folders here.
        shortened: Command of scnas -> options that are added to it, so that it ends soon.
        ports: As :func:`script_of` takes them.
    """
    blocks = blocks_of(ROOT / name)
    printed, ended = _run(script_of(blocks, ports), folder, _environment(folder, shortened or {}))
    assert ended == 0, printed[-6000:]
    said = outputs(printed)
    before = None
    for block in blocks:
        if OUTPUT in block.notes and before is not None:
            missing = missing_lines(block.code, said[before.line])
            assert not missing, f"{block}: {missing} not in\n{said[before.line]}"
        before = block if block.language in SHELL and block.not_run is None else before


def _run(script: str, folder: Path, environment: dict[str, str]) -> tuple[str, int]:
    """Run a script with all it starts in a group of its own, which ends with it."""
    log = folder.parent / f"{folder.name}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=folder, env=environment, stdout=sink, stderr=sink, start_new_session=True
        )
        try:
            ended = process.wait(timeout=900)
        finally:
            _end_group(process)
    terminals = [f"--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(folder.rglob("terminal-*.log"))]
    return "\n".join([log.read_text(), *(terminals if ended else [])]), ended


def _end_group(process: subprocess.Popen) -> None:
    """Ask all that the script has started to end, and end what has not after a while."""
    for each in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 15
        try:
            os.killpg(process.pid, each)
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return


def _environment(folder: Path, shortened: dict[str, str]) -> dict[str, str]:
    """That of a reader who has installed everything: our programs on the path, models of their own."""
    programs = Path(sys.executable).parent
    path = f"{programs}:{os.environ['PATH']}"
    if shortened:
        path = f"{_short_programs(folder.parent / 'short', programs / 'scnas', shortened)}:{path}"
    beside = {name: value for name, value in os.environ.items() if not name.startswith("SCNAS_")}
    return {**beside, "PATH": path, "SCNAS_MODELS": str(folder.parent / "models"), "COLUMNS": "100"}


def _short_programs(folder: Path, program: Path, shortened: dict[str, str]) -> Path:
    """A scnas that adds options to some commands."""
    folder.mkdir()
    cases = "".join(f'{name}) exec "{program}" "$@" {options};;\n' for name, options in shortened.items())
    script = folder / "scnas"
    script.write_text(f'#!/bin/sh\ncase "$1" in\n{cases}*) exec "{program}" "$@";;\nesac\n')
    script.chmod(0o755)
    return folder
