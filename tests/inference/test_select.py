"""The engine that is taken, and why."""

import sys

import pytest

from scnas_deploy.errors import ConfigError, MissingExtraError
from scnas_deploy.inference.engines import select
from scnas_deploy.inference.engines.select import ENGINE_NAMES, installed_engines, open_engine, usable_precisions
from scnas_deploy.inference.package import open_package


@pytest.fixture(scope="module")
def network(exported) -> dict:
    return open_package(exported.package).models


@pytest.fixture
def install_only(monkeypatch):
    """Pretend that of the engines' libraries only these are installed."""

    def pretend(*names):
        monkeypatch.setattr(select, "find_spec", lambda name: object() if name in names else None)
        for name in {"openvino", "onnxruntime"} - set(names):
            monkeypatch.setitem(sys.modules, name, None)

    return pretend


def test_the_choices_are_these():
    assert ENGINE_NAMES == ("auto", "openvino", "onnxruntime")


def test_openvino_is_taken_where_both_are_installed(network):
    assert installed_engines() == ("openvino", "onnxruntime")
    opened = open_engine(network)
    assert opened.engine.name.startswith("openvino ")
    assert opened.reason == "the fastest of those that run here (openvino, onnxruntime)"


def test_the_other_engine_is_taken_where_it_is_the_only_one(network, install_only):
    install_only("onnxruntime")
    opened = open_engine(network)
    assert opened.engine.name.startswith("onnxruntime ")
    assert opened.reason == "the fastest of those that run here (onnxruntime)"


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_that_is_asked_for_is_taken(name, network):
    opened = open_engine(network, name)
    assert opened.engine.name.startswith(f"{name} ")
    assert opened.reason == "asked for"


@pytest.mark.parametrize("name", ["abacus", "", "OpenVINO", "auto ", "http://host:8001/model"])
def test_an_unknown_engine_is_refused_with_the_choices(name, network):
    with pytest.raises(
        ConfigError, match="--engine: expected one of auto, openvino, onnxruntime or triton://HOST:PORT/MODEL"
    ):
        open_engine(network, name)


def test_where_no_engine_is_installed_the_command_to_install_one_is_named(network, install_only):
    install_only()
    assert installed_engines() == ()
    with pytest.raises(MissingExtraError, match=r"pip install 'scnas-deploy\[cpu\]'"):
        open_engine(network)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_that_is_asked_for_but_not_installed_is_never_replaced(name, network, install_only):
    install_only(*{"openvino", "onnxruntime"} - {name})
    with pytest.raises(MissingExtraError, match=rf"the Python package '{name}'.*pip install 'scnas-deploy\[cpu\]'"):
        open_engine(network, name)


def test_of_a_packages_precisions_each_engine_names_those_that_it_runs(network):
    assert usable_precisions("openvino", network) == ("float32",)
    assert usable_precisions("onnxruntime", {}) == ()
    assert usable_precisions("abacus", network) == ()


def test_auto_takes_the_fastest_that_runs_the_precision(in_all_precisions):
    models = open_package(in_all_precisions.package).models
    for precision, name in (("float32", "openvino"), ("int8", "openvino"), ("float16", "onnxruntime")):
        opened = open_engine(models, precision=precision)
        assert (opened.engine.name.split()[0], opened.engine.precision) == (name, precision)
        assert installed_engines(precision)[0] == name
    assert "(onnxruntime)" in open_engine(models, precision="float16").reason


@pytest.mark.parametrize("precision", ["int8", "int4", ""])
def test_a_precision_that_there_is_not_is_refused_with_those_that_there_are(precision, network):
    with pytest.raises(ConfigError, match="--precision: expected auto or one of float32, found"):
        open_engine(network, precision=precision)
