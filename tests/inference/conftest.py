"""Stand-ins for engines, and packages rewritten so that their digests fit again."""

import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from pydantic import ConfigDict

import scnas_deploy
from scnas_deploy.documents import Frozen
from scnas_deploy.export.package import write_package
from scnas_deploy.files import sha256_of
from scnas_deploy.inference.engines import select
from scnas_deploy.inference.manifest import OUTPUT
from scnas_deploy.inference.model import Model, load_model
from scnas_deploy.inference.package import MANIFEST

SHIPPED = Path(scnas_deploy.__file__).parent / "shipped" / "hippocampus.scnas"


class EngineFake:
    """Answers by a function of the patches, and remembers how many came with each call."""

    name, precision, device, concurrency = "fake 1.0", "float32", "CPU", 1

    def __init__(self, answer: Callable[[np.ndarray], np.ndarray], preferred_batch: int = 1) -> None:
        self._answer = answer
        self.preferred_batch = preferred_batch
        self.batches: list[int] = []

    def run(self, patches_BCXYZ):
        self.batches.append(len(patches_BCXYZ))
        return self._answer(patches_BCXYZ).astype(np.float32)


def install_only(engine: EngineFake, patched: pytest.MonkeyPatch) -> None:
    """Have this engine be the only one of the machine."""
    kind = select.EngineKind(
        open=lambda model, **_: engine, module="numpy", extra="cpu", precisions=("float32", "float16", "int8")
    )
    patched.setattr(select, "_KINDS", {"fake": kind})


def constant_logits(*values: float) -> Callable[[np.ndarray], np.ndarray]:
    """Answer each class with its own constant at every voxel."""

    def answer(patches_BCXYZ: np.ndarray) -> np.ndarray:
        shape = (len(patches_BCXYZ), len(values), *patches_BCXYZ.shape[2:])
        return np.broadcast_to(np.reshape(np.float32(values), (1, -1, 1, 1, 1)), shape).copy()

    return answer


class AnyManifest(Frozen):
    """A manifest that may say anything."""

    model_config = ConfigDict(extra="allow")


def read_members(package: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(package) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(
    source: Path,
    target: Path,
    *,
    members: dict[str, bytes] | None = None,
    without: Iterable[str] = (),
    manifest: dict | None = None,
) -> Path:
    """Write another package whose digests are right: what an author could make, not what damage does."""
    kept = {name: data for name, data in read_members(source).items() if name not in without}
    kept.update(members or {})
    described = json.loads(kept.pop(MANIFEST))
    described["digests"] = {name: sha256_of(data) for name, data in kept.items()}
    described.update(manifest or {})
    write_package(target, AnyManifest(**described), kept)
    return target


def negated(model: bytes) -> bytes:
    """A network of the same shape that computes something else."""
    proto = onnx.load_from_string(model)
    for node in proto.graph.node:
        node.output[:] = ["inner" if name == OUTPUT else name for name in node.output]
    proto.graph.node.append(onnx.helper.make_node("Neg", ["inner"], [OUTPUT]))
    return proto.SerializeToString()


@pytest.fixture(scope="session")
def model(exported) -> Model:
    return load_model(exported.package)
