"""Which engines prove an export, and which are passed over."""

import numpy as np
import pytest
import torch
from torch import nn

from scnas_deploy.errors import EngineError, ParityError
from scnas_deploy.export import proof
from scnas_deploy.export.parity import RealPatches
from scnas_deploy.export.proof import prove
from scnas_deploy.inference.engines.select import OpenedEngine
from scnas_deploy.inference.package import Canary
from tests.inference.conftest import EngineFake

PATCH = np.random.default_rng(0).normal(size=(1, 1, 8, 8, 8)).astype(np.float32)


class TwoClasses(nn.Module):
    """Class 1 where a voxel is above a quarter."""

    def forward(self, patches):
        return torch.cat([0.5 - patches, patches], dim=1)


def right(patches):
    return np.concatenate([np.float32(0.5) - patches, patches], axis=1)


@pytest.fixture
def install(monkeypatch):
    """Pretend that these engines are installed; one of None cannot be opened."""

    def pretend(**answers):
        def open_engine(models, name, **_):
            if answers[name] is None:
                raise EngineError(name, expected="its libraries", found="none", remedy="Install them")
            return OpenedEngine(EngineFake(answers[name]), "asked for", 1)

        monkeypatch.setattr(proof, "installed_engines", lambda precision: tuple(answers))
        monkeypatch.setattr(proof, "open_engine", open_engine)

    return pretend


def prove_it():
    logits = right(PATCH)
    canary = Canary(PATCH, logits, logits[0].argmax(axis=0).astype(np.uint8))
    return prove(TwoClasses(), {"float32": b"network"}, canary, [RealPatches(PATCH)])


def test_an_engine_that_cannot_be_opened_is_left_out_with_a_warning(install, caplog):
    install(gpu=None, cpu=right)
    (artefact,) = prove_it()
    assert [record.engine for record in artefact.parity] == ["fake 1.0"]
    assert "float32 export is not compared with an engine that cannot be used: gpu: expected" in caplog.text


def test_where_none_can_be_opened_nothing_is_exported(install):
    install(gpu=None, other=None)
    with pytest.raises(EngineError, match="other: expected its libraries"):
        prove_it()


def test_an_engine_that_answers_wrongly_is_never_left_out(install):
    install(wrong=lambda patches: -right(patches), cpu=right)
    with pytest.raises(ParityError):
        prove_it()
