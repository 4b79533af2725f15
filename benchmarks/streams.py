"""OpenVINO with one call of all threads, against a call of one thread for each of them."""

import time
from statistics import median
from typing import Any

import numpy as np
import openvino

from benchmarks.node_times import compile_openvino


def many_over_one(model: bytes, patch_BCXYZ: np.ndarray, num_threads: int, rounds: int, calls: int) -> float:
    """Patches a second of as many calls at a time as threads over those of one call at a time; median of the rounds.

    Args:
        model: The ONNX file's bytes.
        patch_BCXYZ: What is computed.
        num_threads: Threads in all.
        rounds: How often both take a turn.
        calls: Calls that each stream makes in a turn.
    """
    one, many = (_queue(model, patch_BCXYZ.shape, num_threads, streams) for streams in (1, num_threads))
    ratios = []
    for _ in range(rounds):
        alone = _patches_per_second(one, patch_BCXYZ, calls)
        together = _patches_per_second(many, patch_BCXYZ, calls * num_threads)
        ratios.append(together / alone)
    return median(ratios)


def _queue(model: bytes, shape: tuple[int, ...], num_threads: int, streams: int) -> Any:
    compiled = compile_openvino(model, shape, INFERENCE_NUM_THREADS=num_threads, NUM_STREAMS=streams)
    return openvino.AsyncInferQueue(compiled, streams)


def _patches_per_second(queue: Any, patch_BCXYZ: np.ndarray, calls: int) -> float:
    for _ in range(len(queue)):  # every request has to have been used once
        queue.start_async([patch_BCXYZ])
    queue.wait_all()
    started = time.perf_counter()
    for _ in range(calls):
        queue.start_async([patch_BCXYZ])
    queue.wait_all()
    return calls / (time.perf_counter() - started)
