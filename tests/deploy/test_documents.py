"""What the documents say of settings, figures and commands is so."""

import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from prometheus_client import generate_latest
from pydantic_core import PydanticUndefined

from scnas_deploy.cli.main import app
from scnas_deploy.errors import ConfigError
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.schema import sqlite_url
from scnas_deploy.serve import settings as told
from scnas_deploy.serve.metrics import Metrics, StateCollector
from scnas_deploy.serve.settings import read_settings
from tests.deploy.tools import DEPLOY, ROOT

DOCUMENTS = [
    *(ROOT / "docs" / f"{name}.md" for name in ("serving", "pacs", "operations", "conformance")),
    DEPLOY / "README.md",
]
SETTINGS_FILES = sorted(DEPLOY.rglob("*.toml"))
SERVING = (ROOT / "docs" / "serving.md").read_text()
TABLES = {
    "`serve.toml`": told.ServeSettings,
    "`[dicom]`": told.DicomSettings,
    "`[[dicom.peers]]`": told.Peer,
    "`[grpc]`": told.GrpcSettings,
    "`[page]`": told.PageSettings,
    "`tls` of `[dicom]`, `[grpc]` and `[page]`": told.Tls,
    "`tls` of destinations and sources": told.ClientTls,
    "`[web]`": told.WebSettings,
    "`[work]`": told.WorkSettings,
    "`[disk]`": told.DiskSettings,
    "`[trust]`": told.TrustSettings,
    "`[[rules]]`": told.Rule,
    "`[[rules.match]]`": told.AttributeRule,
    '`[[destinations]]` of kind `"dicom"`': told.DicomDestination,
    '`[[destinations]]` of kind `"stow"`': told.StowDestination,
    '`[[reconcile]]` of kind `"qido"`': told.QidoSource,
    '`[[reconcile]]` of kind `"find"`': told.FindSource,
}
IS_ANOTHER_SETTING = {("called_ae_title", "[dicom] ae_title"): told.DicomSettings().ae_title}
HAVE_TABLES_OF_THEIR_OWN = {
    "dicom",
    "grpc",
    "page",
    "web",
    "work",
    "disk",
    "trust",
    "rules",
    "destinations",
    "reconcile",
}


def blocks(language: str) -> list[tuple[str, str]]:
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(path.name, block) for path in DOCUMENTS for block in fence.findall(path.read_text())]


def rows(text: str) -> dict[str, str]:
    """First column -> second one, of the first table in a text."""
    return dict(re.findall(r"^\| `([a-z_]+)` \| `?(.*?)`? \|", text, re.MULTILINE))


@pytest.mark.parametrize(("document", "block"), blocks("toml"))
def test_settings_in_documents_can_be_read(document, block, tmp_path):
    path = tmp_path / "serve.toml"
    path.write_text(block if block.startswith("spool") else f'spool = "spool"\n{block}')
    read_settings(path)


@pytest.mark.parametrize("path", SETTINGS_FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_settings_files_can_be_read(path):
    read_settings(path)


def test_every_table_of_the_settings_has_a_chapter():
    chapters = re.findall(r"^### (.*)$", SERVING, re.MULTILINE)
    assert chapters == list(TABLES)


@pytest.mark.parametrize("chapter", TABLES)
def test_every_setting_is_described_with_its_default(chapter):
    text = SERVING.split(f"\n### {chapter}\n")[1].split("\n##")[0]
    described, fields = rows(text), TABLES[chapter].model_fields
    skipped = HAVE_TABLES_OF_THEIR_OWN if chapter == "`serve.toml`" else set()
    assert set(described) == set(fields) - skipped
    for name, shown in described.items():
        default = fields[name].default
        if default is PydanticUndefined or default is None:
            assert shown == ("none" if default is None else "required")
        elif (name, shown) in IS_ANOTHER_SETTING:
            assert default == IS_ANOTHER_SETTING[name, shown]
        else:
            value = tomllib.loads(f"value = {shown}")["value"]
            assert value == (list(default) if isinstance(default, tuple) else default)


_SOURCES = {
    "qido": '[[reconcile]]\nkind = "qido"\nname = "a"\nurl = "https://pacs.example.org/dicom-web"\n',
    "find": '[[reconcile]]\nkind = "find"\nname = "a"\nhost = "pacs"\nport = 104\nae_title = "PACS"\n',
}
_NODE = '[dicom]\nae_title = "OURS"\n'


def read(folder: Path, text: str) -> told.ServeSettings:
    path = folder / "serve.toml"
    path.write_text(f'spool = "spool"\n{text}')
    return read_settings(path)


@pytest.mark.parametrize("kind", _SOURCES)
def test_sources_have_studies_sent_to_our_own_title(kind, tmp_path):
    assert read(tmp_path, _NODE + _SOURCES[kind]).reconcile[0].called_ae_title == "OURS"


@pytest.mark.parametrize("kind", _SOURCES)
def test_sources_are_asked_for_no_more_days_than_are_kept(kind, tmp_path):
    read(tmp_path, f"{_NODE}{_SOURCES[kind]}days = 7\n")
    with pytest.raises(ConfigError):
        read(tmp_path, f"{_NODE}{_SOURCES[kind]}days = 8\n")


def test_only_a_source_that_sends_needs_the_node(tmp_path):
    read(tmp_path, _SOURCES["qido"])
    with pytest.raises(ConfigError):
        read(tmp_path, _SOURCES["find"])


def test_every_alert_is_explained_and_there_is_none_else():
    text = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    alerts = [rule["alert"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    chapter = (ROOT / "docs" / "operations.md").read_text().split("\n## Alerts\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| (Scnas\w+) \|", chapter, re.MULTILINE) == alerts


@pytest.fixture(scope="module")
def metrics(tmp_path_factory) -> set[str]:
    """Names of all figures of a server, as they are exposed."""
    figures = Metrics()
    nothing = {"free_bytes": lambda: 1, "busy_seconds": lambda: 1.0, "is_ready": lambda: True}
    with Ledger(sqlite_url(tmp_path_factory.mktemp("figures") / "ledger.db")) as ledger:
        figures.registry.register(StateCollector(lambda: ledger, **nothing))
        text = generate_latest(figures.registry).decode()
    named = set(re.findall(r"^# TYPE (scnas_[a-z_]+)", text, re.MULTILINE))
    return {name for name in named if not name.endswith("_created")}


def test_every_figure_is_described_and_there_is_none_else(metrics):
    chapter = SERVING.split("\n## Figures\n")[1].split("\n## ")[0]
    described = set(re.findall(r"^\| `(scnas_[a-z_]+)`", chapter, re.MULTILINE))
    assert described == metrics


def test_every_figure_that_is_asked_for_exists(metrics):
    known = metrics | {f"{name}_{part}" for name in metrics for part in ("bucket", "count", "sum")}
    files = [*DOCUMENTS, *(path for path in DEPLOY.rglob("*") if path.suffix in (".yml", ".yaml"))]
    named = {name for path in files for name in re.findall(r"\bscnas_[a-z_]+\b", path.read_text())}
    assert {name for name in named if name not in ("scnas_deploy", "scnas_arrivals")} <= known


def commands() -> list[tuple[str, list[str]]]:
    """Calls of scnas in shell blocks, and in text where a call is more than a word."""
    lines = [(name, line) for name, block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    lines += [(path.name, call) for path in DOCUMENTS for call in re.findall(r"`(scnas [a-z][^`]*)`", path.read_text())]
    found = []
    for name, line in lines:
        called = re.search(r"(?:^|[\s/])scnas ((?:[a-z][a-z-]*)(?: .*)?)$", re.split(r"\s[|>#]|&&|;", line.strip())[0])
        if called and not line.lstrip().startswith(("docker", "kubectl", "sudo user", "sudo install", "sudo system")):
            found.append((name, called[1].split()))
    return found


@pytest.mark.parametrize(
    ("document", "words"), commands(), ids=lambda each: " ".join(each) if isinstance(each, list) else each
)
def test_commands_and_their_options_exist(document, words):
    command, left = typer.main.get_command(app), list(words)
    while left:
        options = {name: each for each in command.params for name in each.opts}
        if left[0].startswith("-"):
            assert left[0] in options, f"{document}: {' '.join(words)} has an option that there is not"
            del left[: 1 if options[left[0]].is_flag else 2]
        elif subcommands := getattr(command, "commands", {}):
            assert left[0] in subcommands, f"{document}: {' '.join(words)} has a command that there is not"
            command = subcommands[left.pop(0)]
        else:
            del left[0]


def test_links_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_named_files_of_this_folder_exist():
    for path in DOCUMENTS:
        for named in re.findall(r"\b(deploy/[\w./-]+\.(?:toml|yaml|yml|json|lua|service))\b", path.read_text()):
            assert (ROOT / named).exists(), f"{path.name}: {named}"


def test_no_registry_is_named():
    files = [path for path in (ROOT / "Dockerfile", *DEPLOY.rglob("*"), *DOCUMENTS) if Path(path).is_file()]
    for path in files:
        assert not re.search(r"\b(docker\.io|quay\.io|ghcr\.io|gcr\.io|nvcr\.io)\b", path.read_text()), path
