"""Eight bits for convolutions, counted from zero, the same in every engine and on every processor."""

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest

from scnas_deploy.errors import ExportError
from scnas_deploy.export.int8 import to_int8
from scnas_deploy.inference.engines.onnxruntime import OnnxRuntimeEngine
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.package import open_package


@pytest.fixture(scope="module")
def package(in_all_precisions):
    return open_package(in_all_precisions.package)


@pytest.fixture(scope="module")
def graph(package):
    return onnx.load_from_string(package.models["int8"]).graph


@pytest.fixture(scope="module")
def weights(graph):
    return {weight.name: onnx.numpy_helper.to_array(weight) for weight in graph.initializer}


def test_all_convolutions_but_the_first_and_the_last_read_eight_bits(graph):
    made = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [[made.get(name) for name in node.input[:2]] for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 5
    assert "DequantizeLinear" not in (*convolutions[0], *convolutions[-1])
    assert all(inputs == ["DequantizeLinear"] * 2 for inputs in convolutions[1:-1])


def test_nothing_else_reads_eight_bits(graph):
    eight_bits = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    assert {node.op_type for node in graph.node if eight_bits & set(node.input)} == {"Conv"}


def test_states_are_counted_from_zero_and_weights_but_depthwise_ones_take_seven_bits(graph, weights):
    states = [weights[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert states
    assert {array.dtype for array in states} == {np.dtype(np.uint8)}
    kernels = {name: array for name, array in weights.items() if array.dtype == np.int8 and array.ndim == 5}
    assert len(kernels) == 3
    assert {name: np.abs(array.astype(int)).max() for name, array in kernels.items()} == {
        name: 127 if "deep" in name else 64 for name in kernels
    }


def test_two_engines_answer_it_alike(package, in_all_precisions):
    """Of a convolution that reads a concatenation, OpenVINO answers something else where states are signed."""
    openvino = OpenVinoEngine(package.models["int8"], precision="int8")
    onnxruntime = OnnxRuntimeEngine(package.models["int8"], precision="int8")
    for real in in_all_precisions.patches[:3]:
        ours, theirs = openvino.run(real.patches_BCXYZ), onnxruntime.run(real.patches_BCXYZ)
        assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.998
        assert np.abs(ours - theirs).mean() < 0.005 * np.abs(theirs).max()


ON_OLDER_PROCESSOR = """
import sys
from pathlib import Path
import numpy as np
from scnas_deploy.inference.engines.openvino import OpenVinoEngine
from scnas_deploy.inference.package import open_package
package = open_package(Path(sys.argv[1]))
logits = OpenVinoEngine(package.models["int8"], precision="int8").run(package.canary.patches_BCXYZ)
np.save(sys.argv[2], logits)
"""


def test_a_processor_without_vnni_answers_the_same_labels(package, in_all_precisions, tmp_path):
    """Such a one adds products in sixteen bits, which eight bits of weights would overflow."""
    answers = []
    for instructions in ("AVX2", "DEFAULT"):
        target = tmp_path / f"{instructions}.npy"
        command = [sys.executable, "-c", ON_OLDER_PROCESSOR, str(in_all_precisions.package), str(target)]
        subprocess.run(command, env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}, check=True)
        answers.append(np.load(target))
    assert (answers[0].argmax(axis=1) == answers[1].argmax(axis=1)).mean() >= 0.9999


def test_it_carries_no_path_of_the_machine_that_exported_it(package):
    for precision in ("float16", "int8"):
        assert b"site-packages" not in package.models[precision]


def test_the_same_patches_give_the_same_bytes_without_a_word(package, in_all_precisions, capfd):
    patches = [real.patches_BCXYZ for real in in_all_precisions.patches[:2]]
    assert to_int8(package.model, patches) == to_int8(package.model, patches)
    assert capfd.readouterr() == ("", "")


def test_a_network_that_nncf_cannot_take_is_an_export_error(package):
    with pytest.raises(ExportError, match="eight bits: expected a network that NNCF can quantise"):
        to_int8(package.model, [np.zeros((1, 2, 24, 24, 24), np.float32)])
