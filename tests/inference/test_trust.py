"""Whom a package must come from: the table at the head of trust.py."""

import subprocess
import sys
from pathlib import Path

import pytest

import scnas_deploy
from scnas_deploy.errors import ConfigError, FormatError, MissingExtraError, PackageError
from scnas_deploy.export.signing import sign_package
from scnas_deploy.inference.keys import read_private_key, write_key_pair
from scnas_deploy.inference.model import load_model
from scnas_deploy.inference.package import open_package
from scnas_deploy.inference.signature import PrivateKey, Seal
from scnas_deploy.inference.trust import Trust, Verdict, user_keys, user_trust

MANIFEST = b"a manifest"
PACKAGE = Path("p.scnas")


@pytest.fixture
def alice(tmp_path) -> PrivateKey:
    """Trusted: her public key lies in ``keys``."""
    (tmp_path / "keys").mkdir()
    write_key_pair(tmp_path / "alice.pem")
    (tmp_path / "alice.pub.pem").rename(tmp_path / "keys" / "alice.pub.pem")
    return read_private_key(tmp_path / "alice.pem", str)


@pytest.fixture
def mallory() -> PrivateKey:
    """Known to nobody."""
    return PrivateKey()


@pytest.fixture(params=[False, True], ids=["optional", "required"])
def trust(request, alice, tmp_path) -> Trust:
    return Trust(folder=tmp_path / "keys", required=request.param)


@pytest.fixture
def demanding(alice, tmp_path) -> Trust:
    return Trust(folder=tmp_path / "keys", required=True)


@pytest.fixture
def lenient(alice, tmp_path) -> Trust:
    return Trust(folder=tmp_path / "keys")


def test_a_valid_signature_by_a_trusted_key_is_taken_and_its_signer_named(trust, alice):
    verdict = trust.judge(PACKAGE, Seal(MANIFEST, alice.sign(MANIFEST)))
    assert verdict == Verdict(alice.public.fingerprint, "alice")
    assert str(verdict) == f"signed by alice ({alice.public.fingerprint[:16]})"


def test_a_wrong_signature_under_a_trusted_keys_name_is_always_refused(trust, alice, mallory):
    forged = mallory.sign(MANIFEST).model_copy(update={"key": alice.public.fingerprint})
    for seal in (Seal(MANIFEST, forged), Seal(b"changed", alice.sign(MANIFEST))):
        with pytest.raises(PackageError, match=r"p\.scnas: expected a signature by 'alice'.*does not verify"):
            trust.judge(PACKAGE, seal)


def test_an_unknown_signer_is_said_but_does_not_count(lenient, demanding, mallory):
    seal = Seal(MANIFEST, mallory.sign(MANIFEST))
    verdict = lenient.judge(PACKAGE, seal)
    assert verdict == Verdict(mallory.public.fingerprint, None)
    assert str(verdict).startswith("signed by a key that is not trusted (")
    with pytest.raises(
        PackageError, match=rf"a trusted key \(alice\), found one by an unknown key, {verdict.fingerprint}"
    ):
        demanding.judge(PACKAGE, seal)


def test_an_unsigned_package_is_refused_only_where_a_signature_is_required(lenient, demanding):
    assert str(lenient.judge(PACKAGE, Seal(MANIFEST, None))) == "not signed"
    with pytest.raises(PackageError, match=r"a trusted key \(alice\), found no signature"):
        demanding.judge(PACKAGE, Seal(MANIFEST, None))


def test_who_trusts_nobody_takes_no_required_signature(alice):
    seal = Seal(MANIFEST, alice.sign(MANIFEST))
    assert Trust().judge(PACKAGE, seal).signer is None
    with pytest.raises(PackageError, match=r"a trusted key \(none is\)"):
        Trust(required=True).judge(PACKAGE, seal)


def test_a_key_taken_out_of_the_folder_is_trusted_no_more(demanding, alice, tmp_path):
    seal = Seal(MANIFEST, alice.sign(MANIFEST))
    assert demanding.judge(PACKAGE, seal).signer == "alice"
    (tmp_path / "keys" / "alice.pub.pem").rename(tmp_path / "keys" / "alice.revoked")
    with pytest.raises(PackageError, match="unknown key"):
        demanding.judge(PACKAGE, seal)


def test_a_file_in_the_folder_that_is_no_key_is_named_even_if_another_key_fits(trust, alice, tmp_path):
    (tmp_path / "keys" / "zoe.pem").write_bytes(b"garbage")
    with pytest.raises(FormatError, match=r"zoe\.pem: expected an Ed25519 public key"):
        trust.judge(PACKAGE, Seal(MANIFEST, alice.sign(MANIFEST)))


def test_the_folder_is_the_one_named_or_the_users_own(tmp_path, monkeypatch, alice):
    seal = Seal(MANIFEST, alice.sign(MANIFEST))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("SCNAS_TRUSTED_KEYS", raising=False)
    assert user_trust().judge(PACKAGE, seal).signer is None
    (tmp_path / "config" / "scnas").mkdir(parents=True)
    (tmp_path / "keys").rename(user_keys())
    assert user_trust(required=True).judge(PACKAGE, seal).signer == "alice"
    monkeypatch.setenv("SCNAS_TRUSTED_KEYS", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"nowhere: expected a folder of trusted public keys.*SCNAS_TRUSTED_KEYS"):
        user_trust().judge(PACKAGE, seal)


def test_no_engine_is_opened_for_a_package_that_is_refused(exported, demanding, monkeypatch):
    monkeypatch.setattr("scnas_deploy.inference.model.open_engine", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(PackageError, match="found no signature"):
        load_model(exported.package, trust=demanding)


def test_from_python_a_signature_can_be_required(exported, alice, tmp_path):
    keys, path = tmp_path / "keys", tmp_path / "p.scnas"
    sign_package(exported.package, alice, path)
    assert scnas_deploy.load_model(path, trusted_keys=keys, require_signature=True).verdict.signer == "alice"
    with pytest.raises(PackageError, match="found no signature"):
        scnas_deploy.load_model(exported.package, trusted_keys=keys, require_signature=True)
    with pytest.raises(ConfigError, match="no such folder"):
        scnas_deploy.load_model(path, trusted_keys=tmp_path / "nowhere")


def test_a_signature_that_cannot_be_checked_is_not_taken_for_a_good_one(lenient, alice, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, module)
    seal = Seal(MANIFEST, alice.sign(MANIFEST))
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'scnas-deploy\[sign\]'"):
        lenient.judge(PACKAGE, seal)


IMPORTS = """
import sys
from pathlib import Path
from scnas_deploy.inference.package import open_package
from scnas_deploy.inference.trust import Trust
for package in sys.argv[2:]:
    Trust(folder=Path(sys.argv[1])).judge(Path(package), open_package(Path(package)).seal)
    print("cryptography" in sys.modules)
"""


def test_the_library_is_imported_only_for_a_signature_that_a_trusted_key_is_to_verify(
    exported, alice, mallory, tmp_path
):
    sign_package(exported.package, mallory, tmp_path / "unknown.scnas")
    sign_package(exported.package, alice, tmp_path / "known.scnas")
    packages = [exported.package, tmp_path / "unknown.scnas", tmp_path / "known.scnas"]
    command = [sys.executable, "-c", IMPORTS, str(tmp_path / "keys"), *map(str, packages)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False", "True"]
    assert open_package(packages[2]).digest == open_package(packages[0]).digest
