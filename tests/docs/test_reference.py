"""What is made from the code is whole: every command, option, field, error and public name."""

import html
import re

import pytest
import typer
from pydantic import BaseModel

import scnas_deploy
from scnas_deploy import errors
from scnas_deploy.cli.main import app
from scnas_deploy.data.plan import Plan
from scnas_deploy.inference.manifest import Manifest
from scnas_deploy.project import Project
from scnas_deploy.serve.settings import ServeSettings

ROOTS = {"scnas-toml": Project, "plan-json": Plan, "model-package": Manifest, "serve-toml": ServeSettings}


def words(site, name):
    """The text of a page."""
    text = (site / "reference" / f"{name}.html").read_text()
    return html.unescape(re.sub(r"<[^>]+>", "", text.split("<article", 1)[1].split("</article>", 1)[0]))


def commands(command, name):
    yield name, command
    for inner, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, f"{name} {inner}")


def test_every_command_and_option_is_there(site):
    text = words(site, "command-line")
    for name, command in commands(typer.main.get_command(app), "scnas"):
        if name == "scnas":
            continue
        found = re.search(rf"^{name}¶$", text, re.MULTILINE)
        assert found, name
        chapter = re.split(r"^scnas .*¶$", text[found.end() :], maxsplit=1, flags=re.MULTILINE)[0]
        named = [option for each in command.params for option in each.opts if option.startswith("-")]
        assert not [option for option in named if option not in chapter], name


@pytest.mark.parametrize("name", ROOTS)
def test_every_field_is_there_with_its_words(site, name):
    text = " ".join(words(site, name).split())
    fields = ROOTS[name].model_fields.items()
    assert not [field.alias or each for each, field in fields if (field.alias or each) not in text]
    for each in ROOTS[name].model_fields.values():
        if isinstance(each.annotation, type) and issubclass(each.annotation, BaseModel):
            assert each.annotation.__name__ in text


def test_a_field_has_its_docstring_kind_and_default(site):
    text = " ".join(words(site, "serve-toml").split())
    assert "Seconds without a new object after which a study counts as complete." in text
    assert "quiet_s number > 0 30.0" in text


def test_every_error_is_there(site):
    text = words(site, "errors")
    ours = [name for name, each in vars(errors).items() if isinstance(each, type)]
    assert len(ours) > 10
    assert not [name for name in ours if issubclass(getattr(errors, name), Exception) and name not in text]


def test_every_public_name_is_there(site):
    text = words(site, "python")
    assert not [name for name in scnas_deploy.__all__ if name not in text]
