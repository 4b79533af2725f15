"""Every block of the documents is run by another test here, or is at least what it claims to be."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from scnas_deploy.cli.main import app
from scnas_deploy.project import Project
from scnas_deploy.serve.settings import ServeSettings, read_settings
from tests.docs.snippets import (
    DATA,
    PYTHON,
    ROOT,
    SHELL,
    WORDS,
    Block,
    blocks_in,
    blocks_of,
    documents,
    missing_lines,
    outputs,
    script_of,
)

BLOCKS = [block for path in documents() for block in blocks_of(path)]
CALLS = [
    (block, line.strip())
    for block in BLOCKS
    if block.language in SHELL
    for line in block.code.replace("\\\n", " ").splitlines()
    if re.search(r"(?:^|[\s/(])scnas [a-z-]", line)
]
NOT_RUN_AS_A_WHOLE = {
    "README.md": "its Python is run by tests/test_docs.py, its commands are the demo's and the tutorial's",
    "docs/serving.md": "its commands install a service and name hosts; tests/serve runs servers, the tutorial one",
}
"""Document -> why its blocks are checked but not run."""

_OF_A_SERVER = set(ServeSettings.model_fields)
_ENDS = re.compile(r"\s(?:\|\|?|&&|;|>>?|<|&|#)(?:\s.*)?$|\)\s*$|;\s*done.*$")
_NOT_OURS = ("docker", "kubectl", "sudo user", "sudo install", "sudo system")


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def test_every_block_says_what_it_is():
    assert not [str(block) for block in BLOCKS if block.language not in (*SHELL, *PYTHON, *DATA, *WORDS)]


def test_a_block_that_is_not_run_says_why():
    reasons = [block.not_run for block in BLOCKS if block.not_run is not None]
    assert reasons
    assert all(len(reason.split()) > 2 for reason in reasons)


def test_every_other_block_is_run():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    run = set(re.findall(r'run_document\(\s*"([^"]+)"', tests))
    assert {block.document for block in of(*SHELL, *PYTHON) if block.not_run is None} == run | set(NOT_RUN_AS_A_WHOLE)


@pytest.mark.parametrize("block", of(*SHELL), ids=str)
def test_shell_blocks_are_shell(block):
    checked = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("block", of(*PYTHON), ids=str)
def test_python_blocks_are_python(block):
    compile(block.code, str(block), "exec")


@pytest.mark.parametrize("block", of(*DATA), ids=str)
def test_data_can_be_read_and_settings_are_ours(block, tmp_path):
    if block.language == "json":
        json.loads(block.code)
    elif block.language == "yaml":
        list(yaml.safe_load_all(block.code))
    else:
        _require_settings(block.code, tmp_path / "serve.toml")


def _require_settings(text, path):
    """Settings of a server or of a project, or a part of them."""
    content = tomllib.loads(text)
    if set(content) & _OF_A_SERVER:
        path.write_text(text if "spool" in content else f'spool = "spool"\n{text}')
        read_settings(path)
    else:
        Project.model_validate({"name": "x", "dataset": "x", **content})


@pytest.mark.parametrize(("block", "line"), CALLS, ids=str)
def test_commands_and_their_options_exist(block, line):
    for call in _calls(line):
        _require_possible(call)


def _calls(line: str) -> list[list[str]]:
    """The words after ``scnas`` of each call in a line."""
    found = []
    for part in re.split(r"\s(?:&&|\|\|?)\s|;\s", line):
        called = re.search(r"(?:^|[\s/(])scnas ([a-z-].*)$", part)
        if called and not part.strip().startswith(_NOT_OURS):
            found.append(shlex.split(_ENDS.sub("", f"{called[1]} ").replace(")", ""), comments=True))
    return found


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.stem)
def test_commands_and_options_that_text_names_exist(path):
    for call in re.findall(r"`scnas ([a-z][^`]*)`", path.read_text()):
        words = shlex.split(call.replace("...", ""))
        _require_possible([*words, *(["VALUE"] if words[-1].startswith("-") else [])], is_whole=False)


def _require_possible(words, *, is_whole=True):
    command, left = typer.main.get_command(app), list(words)
    while True:
        context = command.context_class(command, info_name="scnas")
        inner = getattr(command, "commands", {})
        parser = command.make_parser(context)
        parser.allow_interspersed_args = not inner
        values, rest, _ = parser.parse_args(left)
        if is_whole:
            _require_values(command, context, values, words)
        if not inner or not rest:
            return
        assert rest[0] in inner, f"{words}: there is no command {rest[0]}"
        command, left = inner[rest[0]], rest[1:]


def _require_values(command, context, values, words):
    for parameter in command.params:
        value = values.get(parameter.name)
        if value is not None and not _is_path(parameter):
            parameter.process_value(context, value)
        assert value or not parameter.required or parameter.envvar, f"{words}: {parameter.name} is missing"


def _is_path(parameter):
    return "pathlib" in str(parameter.type_descriptor.annotation)


def test_targets_of_make_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for block in of(*SHELL) for target in re.findall(r"^make ([a-z-]+)", block.code, re.MULTILINE)}
    assert named <= targets


def test_links_between_documents_lead_somewhere():
    for path in documents():
        text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            is_generated = "reference" in (path.parent / target).resolve().parts
            assert is_generated or (path.parent / target).exists(), f"{path.name}: {target}"


def test_figures_of_an_output_may_differ_and_nothing_else():
    assert missing_lines("Wrote 3 files in ...", "warning\nWrote 12.5 files in /tmp/x") == []
    assert missing_lines("{a: 1, b: ..., c: 2}", "{a: 1.5, b: 3e-4, c: 22}") == []
    assert missing_lines("a 1\nb 2", "b 2\na 1") == ["b 2"]
    assert missing_lines("mean 0.5", "median 0.5") == ["mean 0.5"]


PAGE = """```sh
x=8042
```
<!-- not run: needs a PACS -->
```sh
false
```
```sh
echo $x
```
<!-- output -->
```text
8042
```
<!-- a terminal of its own -->
```sh
echo elsewhere
```
```python
print("python")
```
"""


def test_a_script_runs_in_order_what_can_be_run(tmp_path):
    script = script_of(blocks_in(PAGE, "page.md"), {8042: 1234})
    ran = subprocess.run(["bash", "-c", f"{script}\nwait"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert {line: text.strip() for line, text in outputs(ran.stdout).items()} == {
        1: "",
        8: "1234",
        16: "",
        19: "python",
    }
    assert (tmp_path / "terminal-16.log").read_text() == "elsewhere\n"
