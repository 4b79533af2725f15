"""Signing adds one member, and changes nothing else."""

import zipfile

import pytest

from scnas_deploy.errors import OutputError, PackageError
from scnas_deploy.export.signing import sign_package
from scnas_deploy.inference.package import SIGNATURE, open_package, read_seal
from scnas_deploy.inference.signature import PrivateKey
from tests.inference.conftest import read_members


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey()


def members_bytes(path) -> bytes:
    """All but the zip file's directory, and but the signature, which stands last."""
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        end = infos[-1].header_offset if infos[-1].filename == SIGNATURE else archive.start_dir
    return path.read_bytes()[:end]


def test_all_other_bytes_and_the_models_digest_stay(exported, key, tmp_path):
    signature = sign_package(exported.package, key, tmp_path / "p.scnas")
    before, after = open_package(exported.package), open_package(tmp_path / "p.scnas")
    assert after.digest == before.digest == signature.manifest
    assert after.seal.signature == signature
    assert key.public.verifies(after.seal.manifest, signature)
    assert before.seal.signature is None
    assert members_bytes(tmp_path / "p.scnas") == members_bytes(exported.package) != b""
    assert list(read_members(tmp_path / "p.scnas")) == [*read_members(exported.package), SIGNATURE]


def test_signing_again_replaces_the_signature(exported, key, tmp_path):
    path, other = tmp_path / "p.scnas", PrivateKey()
    sign_package(exported.package, key, path)
    once = path.read_bytes()
    sign_package(path, other, path)
    assert read_seal(path).signature.key == other.public.fingerprint
    sign_package(path, key, path)
    assert path.read_bytes() == once
    assert [file.name for file in tmp_path.iterdir()] == ["p.scnas"]


def test_a_damaged_package_is_not_signed(exported, key, tmp_path):
    damaged = bytearray(exported.package.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "p.scnas").write_bytes(damaged)
    with pytest.raises(PackageError):
        sign_package(tmp_path / "p.scnas", key, tmp_path / "signed.scnas")
    assert [file.name for file in tmp_path.iterdir()] == ["p.scnas"]


def test_a_full_disk_leaves_the_old_package(exported, key, small_disk):
    (small_disk / "p.scnas").write_bytes(b"an older one")
    with pytest.raises(OutputError, match="space"):
        sign_package(exported.package, key, small_disk / "p.scnas")
    assert (small_disk / "p.scnas").read_bytes() == b"an older one"
    assert len(list(small_disk.iterdir())) == 1
