"""A study is labelled within what was said, on any number of classes."""

import onnx
import pytest

from benchmarks.large_volume import labels, one_convolution, seconds_per_patch, take
from benchmarks.sliding_window import SHIPPED, at_window
from scnas_deploy.inference.package import open_package


@pytest.mark.parametrize("num_classes", [3, 12])
def test_a_study_is_labelled_and_its_memory_told(num_classes):
    figures = take((48, 40, 56), 24, num_classes, 0)
    assert figures["columns"] == figures["more_patches"] == 1
    assert 0 < figures["taken"] < 2 * figures["said"]


def test_the_network_is_one_convolution_to_each_class():
    plan = at_window(open_package(SHIPPED).plan, 24).model_copy(update={"labels": labels(12)})
    graph = onnx.load_from_string(one_convolution(12, plan)).graph
    assert [node.op_type for node in graph.node] == ["Conv"]
    assert [size.dim_value for size in graph.output[0].type.tensor_type.shape.dim] == [0, 12, 24, 24, 24]


@pytest.mark.soak
def test_seconds_a_patch_are_told_for_each_volume():
    seconds = seconds_per_patch([(32, 32, 32), (48, 32, 32)], 32)
    assert list(seconds) == ["32 x 32 x 32", "48 x 32 x 32"]
    assert all(each > 0 for each in seconds.values())
