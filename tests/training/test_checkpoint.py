"""Checkpoints come back as they were, without pickle, and damage is named."""

import pytest
import torch

from scnas_deploy.errors import FormatError
from scnas_deploy.training.checkpoint import load_checkpoint, save_checkpoint


def test_a_nested_state_comes_back_with_types_and_integer_keys(tmp_path):
    parameter = torch.nn.Parameter(torch.randn(3, 2))
    optimizer = torch.optim.Adam([parameter], betas=(0.5, 0.999))
    parameter.square().sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "state.safetensors", {"optimizer": optimizer.state_dict(), "step": 3, "name": None})
    loaded = load_checkpoint(tmp_path / "state.safetensors")
    assert loaded["step"] == 3
    assert loaded["name"] is None
    other = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3, 2))])
    other.load_state_dict(loaded["optimizer"])
    assert torch.equal(other.state_dict()["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    assert tuple(other.param_groups[0]["betas"]) == (0.5, 0.999)


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "state.safetensors"
    save_checkpoint(path, {"weights": torch.ones(100)})
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(FormatError, match="checkpoint"):
        load_checkpoint(path)
