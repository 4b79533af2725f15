import json

import pytest
from pydantic import ValidationError

from scnas_deploy.data.plan import Label, Plan, ZScore, load_plan
from scnas_deploy.documents import to_json
from scnas_deploy.errors import FormatError
from tests.data.drawing import CT, assert_explains_itself, make_plan


def test_a_saved_plan_reads_as_the_same_plan(tmp_path, phantom_plan):
    for plan in (phantom_plan, make_plan(CT, ZScore())):
        plan.save(tmp_path / "plan.json")
        assert load_plan(tmp_path / "plan.json") == plan


def test_classes_are_the_labels_behind_background():
    plan = make_plan()
    assert plan.num_classes == 3
    assert plan.class_values == (0, 1, 3)


def test_classes_follow_the_order_of_the_labels():
    fields = make_plan().model_dump()
    fields["labels"] = fields["labels"][::-1]
    assert Plan(**fields).class_values == (0, 3, 1)


def test_two_labels_of_one_value_are_refused():
    fields = make_plan().model_dump()
    fields["labels"] = [Label(value=2, name=name, color="#000000") for name in ("a", "b")]
    with pytest.raises(ValidationError, match="two labels share one value"):
        Plan(**fields)


def test_an_intensity_limit_is_due_for_each_channel():
    with pytest.raises(ValidationError, match="one entry a channel"):
        make_plan(CT, CT, limits={"intensity": (None,)})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spacing_mm", [1.0, 0.0, 1.0]),
        ("spacing_mm", [1.0, -1.0, 1.0]),
        ("spacing_mm", [1.0, float("nan"), 1.0]),
        ("spacing_mm", [1.0, 1.0]),
        ("patch_size", [24, 24, 0]),
        ("orientation", "LPS"),
        ("crop", "brain"),
        ("channels", []),
        ("labels", []),
        ("labels", [{"value": 0, "name": "background", "color": "#000000"}]),
        ("labels", [{"value": 1, "name": "egg", "color": "red"}]),
        ("mirror_axes", [3]),
        ("unknown", 1),
    ],
)
def test_a_plan_that_could_not_be_followed_is_refused(tmp_path, field, value):
    content = json.loads(to_json(make_plan())) | {field: value}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(FormatError) as caught:
        load_plan(tmp_path / "plan.json")
    assert_explains_itself(caught.value, field, "scnas init")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_plan_of_another_version_is_refused(tmp_path, version):
    content = json.loads(to_json(make_plan())) | {"schema": version}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(FormatError) as caught:
        load_plan(tmp_path / "plan.json")
    assert_explains_itself(caught.value, f"schema {version!r}", "Plan schema 1")


def test_a_plan_is_not_changed_by_accident():
    with pytest.raises(ValidationError, match="frozen"):
        make_plan().crop = "none"
