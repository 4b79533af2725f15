"""serve.toml."""

import pytest

from scnas_deploy.errors import ConfigError
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.settings import read_settings

WHOLE = """
spool = "spool"
ledger = "postgresql://scnas@db/scnas"
audit = "audit.jsonl"

[dicom]
ae_title = "SCNAS"
peers = [{ ae_title = "PACS", address = "10.1.0.0/16" }]

[grpc]
tokens = "tokens"

[[rules]]
name = "head"
called_ae_title = "SCNAS"
match = [{ attribute = "Modality", matches = "^MR$" }]
model = "hippocampus"
formats = ["dicom-seg", "sr"]
destinations = ["pacs"]

[[destinations]]
kind = "dicom"
name = "pacs"
host = "pacs.local"
port = 104
ae_title = "PACS"

[[reconcile]]
kind = "qido"
name = "pacs"
url = "http://pacs.local/dicom-web"
"""


def written(folder, text):
    path = folder / "serve.toml"
    path.write_text(text)
    return path


def test_all_of_it_is_read(tmp_path):
    settings = read_settings(written(tmp_path, WHOLE))
    assert settings.rules[0].formats == (Format.SEG, Format.SR)
    assert settings.dicom.quiet_s == 30
    assert settings.destinations[0].kind == "dicom"
    assert settings.reconcile[0].modalities == ("CT", "MR", "PT")


def test_paths_are_relative_to_the_file(tmp_path):
    settings = read_settings(written(tmp_path, WHOLE))
    assert (settings.spool, settings.grpc.tokens) == (tmp_path / "spool", tmp_path / "tokens")


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ('destinations = ["pacs"]', 'destinations = ["nowhere"]', "nowhere"),
        ('ae_title = "SCNAS"\npeers', 'ae_title = "SEVENTEEN-LETTERS"\npeers', "ae_title"),
        ('address = "10.1.0.0/16"', 'address = "10.1.0.7/16"', "address"),
        ('matches = "^MR$"', 'matches = "("', "regular expression"),
        ('tokens = "tokens"', "", "insecure"),
        ('formats = ["dicom-seg", "sr"]', 'formats = ["sr"]', "segmentation object"),
        ('kind = "dicom"\nname = "pacs"', 'kind = "ftp"\nname = "pacs"', "destinations"),
        ('audit = "audit.jsonl"', 'audit = "audit.jsonl"\nretries = 3', "retries"),
        (
            'ae_title = "PACS"\n\n[[reconcile]]',
            'ae_title = "PACS"\n[[destinations]]\nkind = "stow"\nname = "pacs"\nurl = "u"\n[[reconcile]]',
            "twice",
        ),
    ],
)
def test_what_cannot_be_served_is_named(tmp_path, line, instead, said):
    assert line in WHOLE
    with pytest.raises(ConfigError, match=said):
        read_settings(written(tmp_path, WHOLE.replace(line, instead)))


def test_a_source_that_names_no_title_uses_ours(tmp_path):
    settings = read_settings(written(tmp_path, WHOLE.replace('ae_title = "SCNAS"\npeers', 'ae_title = "SEG1"\npeers')))
    assert settings.reconcile[0].called_ae_title == "SEG1"


def test_what_is_gone_is_not_asked_for_again(tmp_path):
    with pytest.raises(ConfigError, match="not kept"):
        read_settings(written(tmp_path, WHOLE + "days = 9\n"))


def test_nothing_can_be_sent_where_there_is_no_node(tmp_path):
    source = '[[reconcile]]\nkind = "find"\nname = "p"\nhost = "h"\nport = 1\nae_title = "P"\n'
    with pytest.raises(ConfigError, match="no \\[dicom\\]"):
        read_settings(written(tmp_path, 'spool = "spool"\n' + source))


def test_no_file_and_no_toml(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_settings(tmp_path / "serve.toml")
    with pytest.raises(ConfigError, match="TOML"):
        read_settings(written(tmp_path, "spool ="))


def test_a_page_says_whom_it_is_for(tmp_path):
    page = read_settings(written(tmp_path, WHOLE + '[page]\ntokens = "page-tokens"\n')).page
    assert (page.port, page.tokens, page.show_uids) == (8443, tmp_path / "page-tokens", False)
    for text in ("", 'tls = { certificate = "c", key = "k" }\n', 'insecure = true\nnames = ["a b"]\n'):
        with pytest.raises(ConfigError, match=r"insecure|names"):
            read_settings(written(tmp_path, f"{WHOLE}[page]\n{text}"))
