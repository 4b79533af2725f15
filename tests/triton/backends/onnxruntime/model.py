"""A stand-in for Triton's C++ ONNX Runtime backend: same name, same repository layout, PyPI's onnxruntime.

With it the tritonserver inside PyPI's nvidia-pytriton serves an unmodified ONNX model repository on a CPU. It checks
names, types and dims of config.pbtxt against the model, as the C++ backend does. It runs inside the server, on the
packages of tests/triton/requirements.txt.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton

CONFIGURED_TYPE = {"tensor(float)": "TYPE_FP32", "tensor(float16)": "TYPE_FP16"}


class TritonPythonModel:
    """The name that the Python backend looks for."""

    def initialize(self, args):
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        file = config.get("default_model_filename") or "model.onnx"
        self.session = onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
        batch = [-1] if config["max_batch_size"] > 0 else []
        check(config["input"], self.session.get_inputs(), batch)
        check(config["output"], self.session.get_outputs(), batch)

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        feed = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        names = request.requested_output_names()
        answers = zip(names, self.session.run(names, feed), strict=True)
        return triton.InferenceResponse([triton.Tensor(name, np.ascontiguousarray(array)) for name, array in answers])


def check(configured, tensors, batch):
    have = {tensor["name"]: tensor for tensor in configured}
    if {tensor.name for tensor in tensors} != set(have):
        raise triton.TritonModelException(f"config has {sorted(have)}, model has {[each.name for each in tensors]}")
    for tensor in tensors:
        config = have[tensor.name]
        dims = batch + [int(length) for length in config["dims"]]
        shape = [length if isinstance(length, int) else -1 for length in tensor.shape]
        same = len(shape) == len(dims) and all(a == b or -1 in (a, b) for a, b in zip(shape, dims, strict=True))
        if not same or CONFIGURED_TYPE.get(tensor.type) != config["data_type"]:
            found = f"{config['data_type']} {dims}, model has {tensor.type} {shape}"
            raise triton.TritonModelException(f"{tensor.name}: config has {found}")
