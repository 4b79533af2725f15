"""Every name that we use of TensorRT and CUDA is one of the real bindings.

The code is walked for chains of names that start at the libraries' modules. Methods of their objects are proven in two
steps: the code runs on the fakes in these tests, and the fakes have no member that the real classes lack.
"""

import ast
import inspect
import re
from pathlib import Path

import pytest
from cuda.bindings import runtime as real_cuda

import scnas_deploy.inference
from tests.inference.tensorrt import tensorrt_fake as fakes
from tests.inference.tensorrt.bindings import real_bindings
from tests.inference.tensorrt.cuda_fake import CudaFake

SOURCES = sorted(Path(scnas_deploy.inference.__file__).parent.rglob("*.py"))

FAKED = {
    fakes.TensorFake: "ITensor",
    fakes.NetworkFake: "INetworkDefinition",
    fakes.ParserErrorFake: "ParserError",
    fakes.ParserFake: "OnnxParser",
    fakes.ProfileFake: "IOptimizationProfile",
    fakes.TimingCacheFake: "ITimingCache",
    fakes.ConfigFake: "IBuilderConfig",
    fakes.BuilderFake: "Builder",
    fakes.RuntimeFake: "Runtime",
    fakes.EngineOfTensorRtFake: "ICudaEngine",
    fakes.ContextFake: "IExecutionContext",
}


def chain(node: ast.expr) -> list[str]:
    """The names of a.b.c, empty where it starts with something else; `library.trt.x` starts at trt, `runtime().x` at
    cuda."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "runtime":
        return ["cuda"]
    if isinstance(node, ast.Attribute):
        return ["trt"] if node.attr == "trt" else [*names, node.attr] if (names := chain(node.value)) else []
    return []


def chains(root: str) -> set[tuple[str, ...]]:
    """All chains of names in the code of inference that start with a name."""
    trees = [ast.parse(path.read_text()) for path in SOURCES]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {tuple(names) for node in nodes if (names := chain(node)) and names[0] == root and len(names) > 1}


def missing(module: object, names: tuple[str, ...]) -> bool:
    for name in names:
        if not hasattr(module, name):
            return True
        module = getattr(module, name)
    return False


def test_every_name_of_tensorrt_is_a_real_one():
    used = chains("trt")
    assert ("trt", "BuilderFlag", "TF32") in used
    assert ("trt", "Runtime") in used
    assert [names for names in used if missing(real_bindings(), names[1:])] == []


def test_every_name_of_cuda_is_a_real_one():
    used = chains("cuda")
    assert ("cuda", "cudaMemcpyKind", "cudaMemcpyHostToDevice") in used
    assert ("cuda", "cudaGetErrorString") in used
    assert [names for names in used if missing(real_cuda, names[1:])] == []


def test_a_misspelt_name_would_be_found():
    assert chain(ast.parse("library.trt.BuilderFlag.FP16", mode="eval").body) == ["trt", "BuilderFlag", "FP16"]
    assert missing(real_bindings(), ("BuilderFlag", "FP16"))  # gone since version 11
    assert missing(real_cuda, ("cudaMalloc3000",))


def real_parameters(method: object) -> list[list[tuple[str, bool]]]:
    """Each overload's parameters, as the bindings' docstrings give them: name, and whether it may be left out."""
    found = []
    for text in re.findall(r"\(self: [\w.]+(?:, )?(.*?)\) -> ", method.__doc__):
        parameters = re.split(r", (?=\w+: )", text) if text else []
        found.append([(parameter.split(":")[0], " = " in parameter) for parameter in parameters])
    return found


@pytest.mark.parametrize("fake", FAKED, ids=FAKED.values())
def test_the_fakes_have_no_member_that_the_real_classes_lack(fake):
    real = getattr(real_bindings(), FAKED[fake])
    for name, member in vars(fake).items():
        if name.startswith("_"):
            continue
        assert hasattr(real, name), name
        if inspect.isfunction(member):
            ours = list(inspect.signature(member).parameters)[1:]
            overloads = real_parameters(getattr(real, name))
            assert any(
                [parameter for parameter, _ in theirs[: len(ours)]] == ours
                and all(optional for _, optional in theirs[len(ours) :])
                for theirs in overloads
            ), (name, ours, overloads)


def test_the_fakes_functions_of_cuda_are_called_as_the_real_ones():
    functions = [name for name, member in vars(CudaFake).items() if inspect.isfunction(member) and name[:4] == "cuda"]
    assert "cudaMemcpyAsync" in functions
    for name in functions:
        ours = list(inspect.signature(getattr(CudaFake, name)).parameters)[1:]
        assert ours == list(inspect.signature(getattr(real_cuda, name)).parameters)


def test_the_constructors_take_what_the_real_ones_take():
    for name in ("Builder", "Runtime", "OnnxParser"):
        ours = list(inspect.signature(getattr(fakes.TensorRtFake, name)).parameters)[1:]
        assert [[parameter for parameter, _ in theirs] for theirs in real_parameters(
            getattr(real_bindings(), name).__init__
        )] == [ours]  # fmt: skip


def test_without_a_driver_cuda_answers_with_a_status_and_no_value():
    """What the fake without a GPU answers; on a machine with one this says nothing."""
    status, *values = real_cuda.cudaMalloc(16)
    if status:
        assert values == [None]
    else:
        real_cuda.cudaFree(*values)
