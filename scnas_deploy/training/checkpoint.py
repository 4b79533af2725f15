"""Checkpoints: one safetensors file with the state as JSON in its header. No pickle, one rename.

A state is a nest of dictionaries and lists of tensors and JSON values; tensors are stored under their path.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from scnas_deploy.errors import FormatError
from scnas_deploy.files import atomic_path

State = dict[str, Any]
_TENSOR = "$tensor"


def save_checkpoint(path: Path, state: State) -> None:
    """Write a state; the previous file stays until the new one is complete."""
    tensors: dict[str, torch.Tensor] = {}
    description = _take_tensors(state, "", tensors)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(description)})


def load_checkpoint(path: Path) -> State:
    """Read a state back, tensors on the CPU.

    Raises:
        FormatError: If the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            description = json.loads(stored.metadata()["state"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise FormatError(
            path,
            expected="a checkpoint",
            found=f"{type(error).__name__}: {error}",
            remedy="Start the run again without --resume",
        ) from error
    state: State = _put_tensors(description, tensors)
    return state


def _take_tensors(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach().cpu().contiguous()
        return {_TENSOR: path}
    if isinstance(value, dict):
        return {"items": [[key, _take_tensors(child, f"{path}/{key}", tensors)] for key, child in value.items()]}
    if isinstance(value, list | tuple):
        return [_take_tensors(child, f"{path}/{index}", tensors) for index, child in enumerate(value)]
    return value


def _put_tensors(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _put_tensors(child, tensors) for key, child in value["items"]}
    if isinstance(value, list):
        return [_put_tensors(child, tensors) for child in value]
    return value
