"""What we write as text, protobuf reads back the same."""

import pytest
from google.protobuf import text_format as protobuf
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc.model_config_pb2 import ModelConfig

from scnas_deploy.inference.text_format import Word, text_format


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives(text):
    assert protobuf.Parse(text_format({"name": text}), ModelConfig()).name == text


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_so_does_a_list_of_numbers(numbers):
    written = text_format({"input": [{"name": "image", "dims": numbers}]})
    assert list(protobuf.Parse(written, ModelConfig()).input[0].dims) == numbers


def test_messages_words_and_truth_values():
    warm_up = {
        "name": "zeros",
        "inputs": {"key": "image", "value": {"zero_data": True, "data_type": Word("TYPE_FP32")}},
    }
    read = protobuf.Parse(text_format({"max_batch_size": 4, "model_warmup": [warm_up, warm_up]}), ModelConfig())
    assert read.max_batch_size == 4
    assert [each.inputs["image"].zero_data for each in read.model_warmup] == [True, True]
    assert read.model_warmup[0].inputs["image"].data_type == 11


def test_a_word_is_not_quoted_and_a_text_is():
    with pytest.raises(protobuf.ParseError):
        protobuf.Parse(text_format({"instance_group": {"kind": "KIND_CPU"}}), ModelConfig())
    assert text_format({"instance_group": {"kind": Word("KIND_CPU")}}) == "instance_group {\n  kind: KIND_CPU\n}\n"
