"""Rules, as the file has them now."""

import logging

import pytest

from scnas_deploy.serve.rulebook import RuleBook
from scnas_deploy.serve.settings import read_settings

BEGINNING = 'spool = "spool"\n[dicom]\nae_title = "SCNAS"\n'
RULE = '[[rules]]\nname = "{}"\nmodel = "hippocampus"\ncalled_ae_title = "{}"\n'


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "serve.toml"
    path.write_text(BEGINNING + RULE.format("head", "HEAD"))
    return RuleBook(path, read_settings(path)), path


def names(book):
    return [rule.name for rule in book.rules()]


def test_a_changed_file_counts_at_once(book):
    rules, path = book
    path.write_text(BEGINNING + RULE.format("head", "HEAD") + RULE.format("liver", "LIVER"))
    assert names(rules) == ["head", "liver"]
    assert rules.called_ae_titles() == {"SCNAS", "HEAD", "LIVER"}


@pytest.mark.parametrize("text", ["spool = ", BEGINNING + RULE.format("head", "MUCH TOO LONG A TITLE"), ""])
def test_what_cannot_be_used_changes_nothing_and_is_logged_once(book, text, caplog):
    rules, path = book
    path.write_text(text)
    with caplog.at_level(logging.ERROR, "scnas_deploy"):
        assert names(rules) == names(rules) == ["head"]
    assert len(caplog.records) == 1


def test_a_new_destination_needs_a_new_start(book, caplog):
    rules, path = book
    destination = '[[destinations]]\nkind = "stow"\nname = "new"\nurl = "http://127.0.0.1"\n'
    path.write_text(BEGINNING + RULE.format("liver", "LIVER") + 'destinations = ["new"]\n' + destination)
    assert names(rules) == ["head"]
    assert len(caplog.records) == 1


def test_a_file_that_is_gone_changes_nothing(book):
    rules, path = book
    path.unlink()
    assert names(rules) == ["head"]
