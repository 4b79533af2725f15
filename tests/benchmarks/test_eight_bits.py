"""The benchmark of eight bits measures what OpenVINO runs on integers."""

import numpy as np

from benchmarks.eight_bits import convolution_types, measure
from scnas_deploy.inference.package import open_package


def test_all_convolutions_but_the_first_and_the_last_run_on_integers(in_all_precisions):
    model, patch = open_package(in_all_precisions.package).model, in_all_precisions.patches[0].patches_BCXYZ
    result = measure(model, patch, 1, 1)
    assert (result.on_integers, result.convolutions) == (3, 5)
    assert result.part_of_bytes < 1
    assert min(result.exact_ms, result.integer_ms) > 0


def test_in_float32_none_does(in_all_precisions):
    model = open_package(in_all_precisions.package).model
    assert convolution_types(model, np.zeros((1, 1, 24, 24, 24), np.float32)) == {"f32": 5}
