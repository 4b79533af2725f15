"""From a trained network to ONNX."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from scnas_deploy.errors import ExportError
from scnas_deploy.extras import require
from scnas_deploy.inference.manifest import INPUT, OUTPUT
from scnas_deploy.types import Shape3

OPSET = 20


def export_onnx(network: nn.Module, in_channels: int, patch_size: Shape3, whole_multiple: int | None = None) -> bytes:
    """Export a network with a dynamic batch axis, and on request dynamic X, Y and Z.

    Args:
        network: On the CPU, ready to evaluate.
        in_channels: Channels of a patch.
        patch_size: Voxels along X, Y, Z.
        whole_multiple: For a network that takes whole volumes: their voxels along each axis are a multiple of this.

    Returns:
        The ONNX file's bytes: input 'image' (B, C, X, Y, Z), output 'logits' (B, K, X, Y, Z), float32.

    Raises:
        MissingExtraError: If onnx or onnxscript is not installed.
        ExportError: If the exporter cannot express the network.
    """
    require("onnx", extra="export", purpose="ONNX export")
    require("onnxscript", extra="export", purpose="ONNX export")
    network = network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    example = torch.zeros(2, in_channels, *patch_size)
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=(_dynamic_axes(whole_multiple),),
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(
            "network",
            expected="a network that ONNX can express",
            found=str(error).splitlines()[0],
            remedy="Report the genotype with this message",
        ) from error
    if program is None:
        raise ExportError("network", expected="an ONNX program", found="none", remedy="Report the genotype")
    proto = program.model_proto
    _forget_origin(proto)
    model: bytes = proto.SerializeToString()
    return model


def _dynamic_axes(whole_multiple: int | None) -> dict[int, Any]:
    axes: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=4096)}
    if whole_multiple is not None:
        spatial = {axis: torch.export.Dim(name, min=1, max=4096) for axis, name in ((2, "x"), (3, "y"), (4, "z"))}
        axes |= {axis: whole_multiple * steps for axis, steps in spatial.items()}
    return axes


def _forget_origin(model: Any) -> None:
    """Drop the exporter's stack traces: they name folders of this machine, and so differ between machines."""
    for part in (model.graph, *model.functions):
        for node in part.node:
            del node.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own progress lines and deprecation warnings off the user's terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
