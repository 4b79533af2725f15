"""Eight bits: a network whose convolutions multiply integers, for OpenVINO, calibrated on real patches.

NNCF finds the ranges of the states that convolutions read and writes them into the ONNX file. What is chosen here, and
why, measured with OpenVINO 2026.4 on ten held-out patches:

* The first and the last convolution stay in float32. The largest difference of a logit of the shipped Hippocampus
  network fell from 4.97 to 0.83, at the same speed.
* So does everything between convolutions: norms, sums and pools in eight bits saved no time and cost accuracy.
* Ranges hold every state that was seen. Cut to the mean patch's, as is NNCF's custom, they cost a class of a network
  that had hardly been trained 0.012 of its Dice, instead of 0.002; the shipped network 0.003 and 0.002.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from scnas_deploy.errors import ExportError
from scnas_deploy.extras import require
from scnas_deploy.inference.manifest import INPUT
from scnas_deploy.types import PatchesBCXYZ


def to_int8(model: bytes, patches: Sequence[PatchesBCXYZ]) -> bytes:
    """Return an ONNX file whose convolutions are in eight bits; its image and logits stay float32.

    Weights take seven of the eight bits, but depthwise ones: a processor without VNNI adds two channels' products in
    sixteen bits, which would overflow. So every processor answers the same: AVX2, AVX-512 and VNNI gave equal labels.

    Args:
        model: An ONNX file in float32.
        patches: Real preprocessed patches of training cases, from which the ranges are taken.

    Raises:
        MissingExtraError: If NNCF, onnx or ONNX Runtime is not installed.
        ExportError: If NNCF cannot take the network.
    """
    onnx = require("onnx", extra="export", purpose="export in eight bits")
    require("onnxruntime", extra="cpu", purpose="calibrating eight bits")
    nncf = _nncf()
    try:
        with _quiet():
            quantised = _quantise(nncf, onnx.load_from_string(model), patches)
        _count_from_zero(onnx, quantised.graph)
        onnx.checker.check_model(quantised, full_check=True)
    except Exception as error:  # NNCF's share no base class
        raise ExportError(
            "eight bits",
            expected="a network that NNCF can quantise",
            found=(str(error).splitlines() or [type(error).__name__])[0][:200],
            remedy="Export without --int8; report the genotype with this message",
        ) from error
    content: bytes = quantised.SerializeToString()
    return content


def _quantise(nncf: Any, proto: Any, patches: Sequence[PatchesBCXYZ]) -> Any:
    convolutions = [node.name for node in proto.graph.node if node.op_type == "Conv"]
    others = sorted({node.op_type for node in proto.graph.node} - {"Conv"})
    ranges = require("nncf.quantization.range_estimator", extra="export", purpose="export in eight bits")
    return nncf.quantize(
        proto,
        nncf.Dataset(patches, lambda patches_BCXYZ: {INPUT: patches_BCXYZ}),
        preset=nncf.QuantizationPreset.MIXED,  # what a LeakyReLU leaves is not symmetric
        subset_size=len(patches),
        ignored_scope=nncf.IgnoredScope(names=[convolutions[0], convolutions[-1]], types=others, validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE,  # seven bits of weights
            activations_range_estimator_params=ranges.RangeEstimatorParametersSet.MINMAX,
        ),
    )


def _nncf() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it names the versions of PyTorch that it was tested with
        nncf = require("nncf", extra="export", purpose="export in eight bits")
    logging.getLogger("nncf").setLevel(logging.ERROR)  # its own function also sets that of other people's handlers
    return nncf


def _count_from_zero(onnx: Any, graph: Any) -> None:
    """Count states from 0 to 255 instead of -128 to 127: the same numbers, but OpenVINO 2026.4 computes others.

    Where a convolution reads a concatenation in signed integers, its answer is wrong: of nnU-Net's network, 72 % of
    the labels instead of 97 % remained. ONNX Runtime answers both forms alike.
    """
    zero_points = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if tensor.name in zero_points and values.dtype == np.int8:
            shifted = (values.astype(np.int16) + 128).astype(np.uint8)
            tensor.CopyFrom(onnx.numpy_helper.from_array(shifted, tensor.name))
    del graph.value_info[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's progress bars and warnings off the user's terminal."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
