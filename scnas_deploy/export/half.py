"""Half precision: a network's products in float16, its norms and means in float32.

Half precision ends at 65,504 and keeps three decimal places. A product of weights and normalised states stays far from
the end; the sum of squares over a whole patch, of which an InstanceNorm makes its variance, does not, and engines that
compute it in half precision have answered nothing but background. So the precision stands in the file, a cast at each
change of it, and no engine has to be told: an operator that is not known to be safe computes in float32.

What overflows all the same, a weight or a state, becomes infinite, and the parity gate on real patches refuses it.
"""

from typing import Any, Final

import numpy as np

from scnas_deploy.errors import ExportError
from scnas_deploy.extras import require

_HALF: Final = frozenset(
    (
        "Conv",
        "ConvTranspose",
        "LeakyRelu",
        "Relu",
        "Elu",
        "Sigmoid",
        "Add",
        "Mul",
        "Concat",
        "Split",
        "MaxPool",
        "Resize",
    )
)
"""Products, and what moves, adds or interpolates their results without summing over many voxels."""
_FEW_INPUTS: Final = {"Resize": 1}
"""Inputs that have the data's type, where not all have: the scales of a Resize are float32 in any case."""


def to_half(model: bytes) -> bytes:
    """Return an ONNX file whose products are in half precision; its image and logits stay float32.

    Args:
        model: An ONNX file in float32.

    Raises:
        MissingExtraError: If onnx is not installed.
        ExportError: If the result is no valid ONNX file.
    """
    onnx = require("onnx", extra="export", purpose="export in half precision")
    proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True)
    _Halved(onnx, proto.graph).rewrite()
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            "half precision",
            expected="a network of which each operator has a known precision",
            found=str(error).splitlines()[0],
            remedy="Export without --fp16; report the genotype with this message",
        ) from error
    content: bytes = proto.SerializeToString()
    return content


class _Halved:
    """A graph whose nodes are gone through once, in their order.

    Args:
        onnx: The library.
        graph: In float32, with the types of all its tensors; rewritten in place.
    """

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx, self._graph = onnx, graph
        self._float, self._float16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        self._weights = {weight.name: weight for weight in graph.initializer}
        values = (*graph.input, *graph.value_info, *graph.output)
        self._reals = {value.name for value in values if value.type.tensor_type.elem_type == self._float}
        self._reals |= {name for name, weight in self._weights.items() if weight.data_type == self._float}
        self._in_half: set[str] = set()
        """Tensors that are computed in half precision."""
        self._other: dict[str, str] = {}
        """Tensor -> its name in the precision in which it is not computed."""
        self._nodes: list[Any] = []

    def rewrite(self) -> None:
        """Give each node its precision, and cast where it changes."""
        outputs = {value.name for value in self._graph.output}
        for node in self._graph.node:
            half = node.op_type in _HALF
            for index, name in enumerate(node.input[: _FEW_INPUTS.get(node.op_type)]):
                if name in self._reals:
                    node.input[index] = self._in_precision(name, half=half)
            self._nodes.append(node)
            for index, name in enumerate(node.output if half else ()):
                if name in outputs:
                    node.output[index] = self._answer(name)
                else:
                    self._in_half.add(name)
        self._replace()

    def _in_precision(self, name: str, *, half: bool) -> str:
        if half == (name in self._in_half):
            return name
        if name not in self._other:
            self._other[name] = f"{name}_{'half' if half else 'single'}"
            if name in self._weights:
                self._weights[self._other[name]] = self._halved(self._weights[name], self._other[name])
            else:
                self._cast(name, self._other[name], self._float16 if half else self._float)
        return self._other[name]

    def _halved(self, weight: Any, name: str) -> Any:
        values = self._onnx.numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):  # the parity gate sees it
            return self._onnx.numpy_helper.from_array(values.astype(np.float16), name)

    def _answer(self, name: str) -> str:
        """Cast what the graph answers back; return the name of what is cast."""
        self._other[name] = f"{name}_half"
        self._cast(self._other[name], name, self._float)
        return self._other[name]

    def _cast(self, source: str, target: str, kind: int) -> None:
        self._nodes.append(self._onnx.helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=kind))

    def _replace(self) -> None:
        used = {name for node in self._nodes for name in node.input}
        weights = [weight for name, weight in self._weights.items() if name in used]
        for old, new in (
            (self._graph.node, self._nodes),
            (self._graph.initializer, weights),
            (self._graph.value_info, []),
        ):
            copies = [type(item).FromString(item.SerializeToString()) for item in new]
            del old[:]
            old.extend(copies)
