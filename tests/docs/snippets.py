"""The fenced blocks of a document, with what the comments before them say, and the one script that runs them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_RUN, OUTPUT, TERMINAL = "not run: ", "output", "a terminal of its own"
SHELL, PYTHON, DATA, WORDS = ("sh", "bash"), ("python",), ("toml", "json", "yaml"), ("text", "console")
_BLOCK = re.compile(
    r"(?P<notes>(?:^<!--[^\n]*-->\n+)*)^```(?P<language>\w*)\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE
)
_NOTE = re.compile(r"<!-- (.*?) -->")
_COMMANDS = ("make", "scnas", "pip", "torchrun")
_MARK = "@@@ block"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block."""

    document: str
    line: int
    language: str
    code: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def not_run(self) -> str | None:
        """Why it cannot be run here; None where it can."""
        return next((note.removeprefix(NOT_RUN) for note in self.notes if note.startswith(NOT_RUN)), None)


def documents() -> list[Path]:
    """All that have blocks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a document, in their order."""
    return blocks_in(path.read_text(), str(path.relative_to(ROOT)))


def blocks_in(text: str, document: str) -> list[Block]:
    """The blocks of a text, in their order."""
    return [
        Block(
            document=document,
            line=text.count("\n", 0, found.start("language")) + 1,
            language=found["language"] or _guessed(found["code"]),
            code=found["code"],
            notes=tuple(_NOTE.findall(found["notes"])),
        )
        for found in _BLOCK.finditer(text)
    ]


def _guessed(code: str) -> str:
    """Of a block that names no language: shell, where each line begins with a command of ours."""
    lines = [line for line in code.splitlines() if line.strip()]
    return "sh" if all(line.split()[0] in _COMMANDS for line in lines) else "text"


def script_of(blocks: list[Block], ports: dict[int, int] | None = None) -> str:
    """One script of all blocks that are run, so that variables and folders last from one to the next.

    Args:
        blocks: Of one document.
        ports: Port of the document -> the one to take instead.
    """
    parts = ["set -eu"]
    for block in blocks:
        if block.not_run is None and block.language in (*SHELL, *PYTHON):
            parts += [f"echo '{_MARK} {block.line}'", f"echo '{_MARK} {block.line}' >&2", _runnable(block)]
    script = "\n".join(parts)
    for documented, taken in (ports or {}).items():
        script = re.sub(rf"\b{documented}\b", str(taken), script)
    return script


def _runnable(block: Block) -> str:
    if block.language in PYTHON:
        return f"python - <<'END_OF_PYTHON'\n{block.code}END_OF_PYTHON"
    if TERMINAL in block.notes:
        return f"(\n{block.code}) > terminal-{block.line}.log 2>&1 &"
    return block.code.rstrip()


def outputs(printed: str) -> dict[int, str]:
    """Line of a block -> what it printed."""
    parts = re.split(rf"^{_MARK} (\d+)$", printed, flags=re.MULTILINE)
    return {int(line): text for line, text in zip(parts[1::2], parts[2::2], strict=True)}


def missing_lines(expected: str, printed: str) -> list[str]:
    """Lines of a documented output that were not printed in that order; any figure may differ, ``...`` is anything,
    lines too."""
    left, missing = [_bare(line) for line in printed.splitlines()], []
    for line in (each for each in expected.splitlines() if each.strip(" .")):
        pattern = re.compile(".*".join(re.escape(part) for part in _bare(line).split("...")))
        at = next((number for number, each in enumerate(left) if pattern.search(each)), None)
        if at is None:
            missing.append(line)
        else:
            del left[: at + 1]
    return missing


def _bare(line: str) -> str:
    return " ".join(re.sub(r"\d(?:[\d.,:e+-]*\d)?", "#", line).split())
