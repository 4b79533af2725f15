"""What can be said of the Dockerfile without building it; test_image.py builds and runs it."""

import re
import subprocess
import tomllib

from tests.deploy.tools import ROOT, program

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_hadolint_finds_nothing():
    said = subprocess.run([program("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")


def test_the_base_is_pinned():
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    stages = set(re.findall(r" AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert bases - stages == {"${PYTHON}"}
    assert re.search(r"^ARG PYTHON=python:3\.11-slim-bookworm$", DOCKERFILE, re.MULTILINE)


def test_all_that_is_installed_is_pinned():
    installs = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) (.*?)(?=\n[A-Z]|&&|\Z)", DOCKERFILE, re.DOTALL)
    assert len(installs) == 4
    for each in installs:
        assert "--constraint constraints.txt" in each or "--no-deps --no-build-isolation" in each


def test_the_extras_are_the_projects():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = re.findall(r"scnas-deploy\[([a-z,]+)\]", DOCKERFILE)
    assert sorted(installed) == ["cpu,serve,sign", "gpu,serve,sign"]
    assert {name for each in installed for name in each.split(",")} <= set(extras)


def test_the_version_is_the_projects():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'org.opencontainers.image.version="{version}"' in DOCKERFILE


def test_only_what_is_copied_is_sent_to_the_build():
    ignored = (ROOT / ".dockerignore").read_text()
    sent = set(re.findall(r"^!(\S+)$", ignored, re.MULTILINE))
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert sent == {name for each in copies for name in each.split()}
    assert "\n*\n" in ignored
