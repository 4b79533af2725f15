"""What `scnas serve --check` finds before a server does."""

import json

import pytest

from scnas_deploy.files import sha256_of
from tests.serve.rpc.certificates import make_authority

DOORS = """
spool = "spool"
[dicom]
tls = { certificate = "server.pem", key = "server.key", client_ca = "ca.pem" }
[grpc]
tls = { certificate = "server.pem", key = "server.key" }
tokens = "tokens"
"""
OTHERS = """
[[destinations]]
kind = "dicom"
name = "pacs"
host = "pacs.example"
port = 104
ae_title = "PACS"
tls = { ca = "ca.pem", certificate = "client.pem", key = "client.key" }
[[destinations]]
kind = "stow"
name = "archive"
url = "https://archive.example/dicom-web"
user = "scnas"
password = "password"
tls = { ca = "ca.pem" }
[[reconcile]]
kind = "qido"
name = "archive"
url = "https://archive.example/dicom-web"
token = "token"
[[reconcile]]
kind = "find"
name = "pacs"
host = "pacs.example"
port = 104
ae_title = "PACS"
tls = { ca = "pacs-ca.pem" }
"""
FILES = ("server.pem", "server.key", "ca.pem", "client.pem", "client.key", "tokens", "password", "token", "pacs-ca.pem")


@pytest.fixture
def settings(scnas):
    """All files that settings can name are there."""
    authority = make_authority(scnas.folder / "authority")
    for name in ("server", "client"):
        certificate, key = authority.sign(name)
        certificate.rename(scnas.folder / certificate.name)
        key.rename(scnas.folder / key.name)
    for name in ("ca.pem", "pacs-ca.pem"):
        (scnas.folder / name).write_bytes(authority.path.read_bytes())
    (scnas.folder / "tokens").write_text(f"workstation {sha256_of(b'token')}\n")
    for name in ("password", "token"):
        (scnas.folder / name).write_text("secret\n")
    path = scnas.folder / "serve.toml"
    path.write_text(DOORS + OTHERS)
    return path


def test_settings_whose_files_are_all_there_can_be_served(scnas, settings):
    before = set(scnas.folder.rglob("*"))
    assert "can be served" in scnas("serve", settings, "--check").stdout
    assert set(scnas.folder.rglob("*")) == before
    assert json.loads(scnas("serve", settings, "--check", "--json").stdout) == {
        "rules": 0,
        "destinations": 2,
        "models": {},
    }


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_found(scnas, settings, name):
    (scnas.folder / name).unlink()
    scnas.refused("serve", settings, "--check", status=2)


def test_a_key_of_another_certificate_is_found(scnas, settings):
    (scnas.folder / "server.key").write_bytes((scnas.folder / "client.key").read_bytes())
    scnas.refused("serve", settings, "--check", status=2)


def test_a_file_of_tokens_in_the_clear_is_found(scnas, settings):
    (scnas.folder / "tokens").write_text("workstation secret\n")
    assert "secret" not in scnas.refused("serve", settings, "--check", status=2)
