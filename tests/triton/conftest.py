"""A server, and what it serves."""

from pathlib import Path

import onnx
import pytest

from scnas_deploy.inference.manifest import OUTPUT
from scnas_deploy.inference.package import MODEL, ModelPackage, open_package
from tests.cli.conftest import CommandLine
from tests.inference.conftest import rewrite
from tests.triton.server import Installation, require_installed

SHIPPED = Path(__file__).parents[2] / "scnas_deploy" / "shipped" / "hippocampus.scnas"


@pytest.fixture(scope="session")
def installation(tmp_path_factory) -> Installation:
    require_installed()
    return Installation(tmp_path_factory.mktemp("tritonserver"))


def negated(model: bytes) -> bytes:
    """A network of the same shape that computes something else."""
    proto = onnx.load_from_string(model)
    for node in proto.graph.node:
        node.output[:] = ["inner" if name == OUTPUT else name for name in node.output]
    proto.graph.node.append(onnx.helper.make_node("Neg", ["inner"], [OUTPUT]))
    return proto.SerializeToString()


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
    """Another network for the same patches."""
    target = tmp_path_factory.mktemp("other") / "other.scnas"
    return open_package(rewrite(exported.package, target, members={MODEL: negated(phantom.model)}))
