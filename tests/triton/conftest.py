"""A server, and what it serves."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from scnas_deploy.inference.package import CANARY, MODEL, ModelPackage, open_package
from scnas_deploy.inference.triton_config import Serving
from scnas_deploy.inference.triton_repository import write_repository
from tests.cli.conftest import CommandLine
from tests.inference.conftest import negated, rewrite
from tests.triton.server import Installation, RunningTriton, require_installed


@pytest.fixture(scope="session")
def installation(tmp_path_factory) -> Installation:
    require_installed()
    return Installation(tmp_path_factory.mktemp("tritonserver"))


@pytest.fixture
def study(phantom_dataset) -> Path:
    """A NIfTI file of the phantom."""
    return phantom_dataset.cases[0].images[0]


@pytest.fixture
def scnas(tmp_path) -> CommandLine:
    """A working folder and an empty model folder."""
    return CommandLine(tmp_path, tmp_path / "models")


@pytest.fixture(scope="session")
def phantom(exported) -> ModelPackage:
    return open_package(exported.package)


@pytest.fixture(scope="session")
def other(exported, phantom, tmp_path_factory) -> ModelPackage:
    """A package of another network for the same patches."""
    target = tmp_path_factory.mktemp("other") / "other.scnas"
    canary = phantom.canary
    answer = {"logits": -canary.logits_BKXYZ, "classes": canary.logits_BKXYZ[0].argmin(axis=0).astype(np.uint8)}
    stored = BytesIO()
    np.savez(stored, patches=canary.patches_BCXYZ, **answer)
    members = {MODEL: negated(phantom.model), CANARY: stored.getvalue()}
    return open_package(rewrite(exported.package, target, members=members))


@pytest.fixture(scope="session")
def triton(tmp_path_factory, installation, phantom) -> Iterator[RunningTriton]:
    """A server with the phantom's network."""
    folder = tmp_path_factory.mktemp("triton")
    write_repository(folder / "repository", phantom, Serving(max_batch_size=32))
    server = RunningTriton(installation, folder / "repository", folder / "tritonserver.log")
    yield server
    server.kill()
