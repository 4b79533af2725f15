"""scnas doctor: what is installed, and what is missing for what."""

import platform
from importlib.metadata import PackageNotFoundError, version

from scnas_deploy.cli.console import say, say_facts, say_json, table
from scnas_deploy.cli.options import JsonOption, model_folder

_PARTS = (
    ("nibabel", "core", "NIfTI"),
    ("SimpleITK", "core", "surface distances"),
    ("SQLAlchemy", "core", "job ledger"),
    ("cryptography", "sign", "signatures of models"),
    ("openvino", "cpu", "fastest CPU engine"),
    ("onnxruntime", "cpu", "CPU engine"),
    ("onnxruntime-gpu", "gpu", "GPU engine"),
    ("tensorrt", "gpu", "fastest GPU engine"),
    ("cuda-bindings", "gpu", "CUDA for TensorRT"),
    ("tritonclient", "triton", "patches on a Triton server"),
    ("psycopg", "scale", "job ledger on PostgreSQL"),
    ("ray", "scale", "batches on a cluster"),
    ("torch", "train", "search, training, export"),
    ("safetensors", "train", "checkpoints and weights"),
    ("batchgeneratorsv2", "train", "augmentation"),
    ("tensorboard", "train", "event files"),
    ("onnx", "export", "ONNX export"),
    ("onnxscript", "export", "ONNX export"),
    ("nncf", "export", "export in eight bits"),
)


def doctor(json: JsonOption = False) -> None:
    """Say what is installed and how to install what is missing."""
    from scnas_deploy.inference.trust import user_keys

    found = {name: _version(name) for name, _, _ in _PARTS}
    if json:
        folders = {"models": str(model_folder().path), "trusted_keys": str(user_keys())}
        say_json({"python": platform.python_version(), "packages": found, **folders})
        return
    rows = [[name, purpose, extra, found[name] or "missing"] for name, extra, purpose in _PARTS]
    table(["package", "for", "extra", "version"], rows, words=("for", "extra", "version"))
    if None in found.values():
        say("What is missing comes with its extra, as in: pip install 'scnas-deploy[gpu]'")
    places = {"models": str(model_folder().path), "trusted keys": str(user_keys())}
    say_facts({"Python": platform.python_version(), **places})
    if _version("onnxruntime") and _version("onnxruntime-gpu"):
        say("onnxruntime and onnxruntime-gpu are both installed but share one import name: uninstall one of them.")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
