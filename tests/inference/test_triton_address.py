"""Where a model is served, as a user writes it."""

import pytest

from scnas_deploy.errors import ConfigError
from scnas_deploy.inference.engines.select import open_engine
from scnas_deploy.inference.engines.triton_address import TritonAddress


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("triton://host:8001/liver", TritonAddress("host:8001", "liver", None, False)),
        ("triton://10.0.0.7:1/liver/12", TritonAddress("10.0.0.7:1", "liver", "12", False)),
        ("tritons://[::1]:8001/a.b-c_1", TritonAddress("[::1]:8001", "a.b-c_1", None, True)),
    ],
)
def test_server_model_version_and_encryption(text, address):
    assert TritonAddress.parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "triton://",
        "triton://host/liver",
        "triton://host:8001",
        "triton://host:8001/",
        "triton://host:eight/liver",
        "triton://host:800100/liver",
        "triton://:8001/liver",
        "triton://host:8001/liver/",
        "triton://host:8001/liver/newest",
        "triton://host:8001/liver/1/infer",
        "triton://user@host:8001/liver",
        "triton://host:8001/liver?timeout=1",
    ],
)
def test_anything_else_is_refused_with_the_form(text):
    with pytest.raises(ConfigError, match="--engine: expected triton://HOST:PORT/MODEL or triton://HOST:PORT/MODEL/V"):
        open_engine({"float32": b""}, text)
