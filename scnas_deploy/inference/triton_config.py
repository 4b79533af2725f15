"""config.pbtxt: how a Triton server serves a network, in protobuf's text format.

A repository's folder of one model has one such file for all versions, so which network a version holds is said at its
end, a parameter a fact and version. What stands above may be edited and is kept when a version is added.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from scnas_deploy.documents import Frozen
from scnas_deploy.inference.manifest import INPUT, NAME_PATTERN, OUTPUT, Precision
from scnas_deploy.inference.text_format import Word, text_format
from scnas_deploy.types import Shape3

Platform = Literal["onnxruntime_onnx", "tensorrt_plan"]
MODEL_FILES: Final[dict[Platform, str]] = {"onnxruntime_onnx": "model.onnx", "tensorrt_plan": "model.plan"}
"""Where each platform looks for the network in a version's folder."""

ONNX_DIGEST: Final = "scnas_onnx_sha256"
MODEL_DIGEST: Final = "scnas_model_digest"
PRECISION: Final = "scnas_precision"

_SEPARATOR = "# Written by scnas export: which network each version holds. Edit only what stands above.\n"
_VERSIONS_SERVED = 2
"""The newest and the one before it, so that a study which has begun on that one ends on it."""


def version_key(fact: str, version: str) -> str:
    """The name of the parameter that says a fact about a version."""
    return f"{fact}.{version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """How a network is served."""

    name: str | None = None
    """Of the model on the server; None takes the package's."""
    precision: Precision = "float32"
    """Which of the package's networks."""
    max_batch_size: int = 8
    """Patches that the server computes at once, from one request or several; a whole volume is computed alone."""
    queue_delay_us: int = 2000
    """How long a patch waits for others to be computed with, in microseconds."""
    instances: int = 1
    """Copies of the network that compute at the same time."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where; 'auto' is each GPU where the server has one, else the CPU. A TensorRT plan is always served on GPUs."""


class ServedVersion(Frozen):
    """scnas.json, schema 1, in a version's folder: which network it holds."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    model_name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """The package's, whatever the server calls it."""
    model_digest: str
    """The package's."""
    onnx_digest: str
    """SHA-256 of the ONNX file that is served, or that the plan was built from."""
    file_digest: str
    """SHA-256 of the file that is served."""
    precision: Precision
    platform: Platform
    in_channels: int
    num_classes: int
    patch_size: Shape3
    """Voxels along X, Y, Z; the smallest volume of a network that takes whole ones."""
    whole: bool
    """Whether it takes whole volumes, of any size that is a multiple of its stride."""


def config_text(name: str, serving: Serving, versions: Mapping[int, ServedVersion]) -> str:
    """Return config.pbtxt.

    Args:
        name: Of the model on the server; its folder must have the same.
        serving: How.
        versions: The network of each version.
    """
    network = versions[max(versions)]
    size = [-1, -1, -1] if network.whole else list(network.patch_size)
    batch = 1 if network.whole else serving.max_batch_size
    kind = "gpu" if network.platform == "tensorrt_plan" else serving.device
    message = {
        "name": name,
        "platform": network.platform,
        "max_batch_size": batch,
        "input": [{"name": INPUT, "data_type": Word("TYPE_FP32"), "dims": [network.in_channels, *size]}],
        "output": [{"name": OUTPUT, "data_type": Word("TYPE_FP32"), "dims": [network.num_classes, *size]}],
        "version_policy": {"latest": {"num_versions": _VERSIONS_SERVED}},
        "instance_group": [{"kind": Word(f"KIND_{kind.upper()}"), "count": serving.instances}],
        "dynamic_batching": {
            "preferred_batch_size": sorted({max(1, batch // 2), batch}),
            "max_queue_delay_microseconds": serving.queue_delay_us,
        },
        "model_warmup": [_warm_up(network, size) for size in sorted({1, batch})],
    }
    return text_format(message) + _SEPARATOR + _facts(versions)


def with_versions(text: str, versions: Mapping[int, ServedVersion]) -> str | None:
    """Return config.pbtxt for other versions, what a person has edited kept; None where it is not such a file."""
    head, separator, _ = text.partition(_SEPARATOR)
    return head + separator + _facts(versions) if separator else None


def _facts(versions: Mapping[int, ServedVersion]) -> str:
    facts = [
        (version_key(fact, str(version)), value)
        for version, network in sorted(versions.items())
        for fact, value in (
            (ONNX_DIGEST, network.onnx_digest),
            (MODEL_DIGEST, network.model_digest),
            (PRECISION, network.precision),
        )
    ]
    return text_format({"parameters": [{"key": key, "value": {"string_value": value}} for key, value in facts]})


def _warm_up(network: ServedVersion, batch: int) -> dict[str, object]:
    """A request that the server answers itself before it calls the model ready."""
    zeros = {
        "data_type": Word("TYPE_FP32"),
        "dims": [network.in_channels, *network.patch_size],
        "zero_data": True,
    }
    return {"name": f"{batch} of zeros", "batch_size": batch, "inputs": {"key": INPUT, "value": zeros}}
