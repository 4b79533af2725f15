"""Keys in files are read as they were written, and what is no key is named."""

import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from scnas_deploy.errors import ConfigError, FormatError, OutputError
from scnas_deploy.inference.keys import key_name, read_private_key, read_public_key, write_key_pair


def no_passphrase() -> str:
    pytest.fail("the key has no passphrase")


def test_a_new_pair_is_read_back_and_belongs_together(tmp_path):
    public = write_key_pair(tmp_path / "alice.pem")
    assert read_public_key(tmp_path / "alice.pub.pem") == public
    assert read_private_key(tmp_path / "alice.pem", no_passphrase).public == public
    assert write_key_pair(tmp_path / "bob.pem") != public


def test_only_its_owner_can_read_a_private_key(tmp_path):
    write_key_pair(tmp_path / "alice.pem")
    assert stat.S_IMODE((tmp_path / "alice.pem").stat().st_mode) == 0o600


def test_a_private_key_is_never_replaced(tmp_path):
    write_key_pair(tmp_path / "alice.pem")
    content = (tmp_path / "alice.pem").read_bytes()
    with pytest.raises(ConfigError, match=r"alice\.pub\.pem: expected a new file"):
        write_key_pair(tmp_path / "alice.pem")
    (tmp_path / "alice.pub.pem").unlink()
    with pytest.raises(OutputError, match=r"alice\.pem: expected a new file"):
        write_key_pair(tmp_path / "alice.pem")
    assert (tmp_path / "alice.pem").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["alice.pem"]


@pytest.mark.parametrize("room", [0, 4096], ids=["for none", "for the private key alone"])
def test_a_disk_that_is_full_leaves_no_half_pair(room, small_disk):
    (small_disk / "filler").write_bytes(bytes(16_384 - room))
    with pytest.raises(OutputError, match="space"):
        write_key_pair(small_disk / "alice.pem")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("name", ["alice", "alice.txt", "alice.pub.pem"])
def test_a_name_that_nobody_would_look_for_is_refused(name, tmp_path):
    with pytest.raises(ConfigError, match=r"a name such as key\.pem"):
        write_key_pair(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_protects_a_key(tmp_path):
    public = write_key_pair(tmp_path / "alice.pem", "open sesame")
    assert b"ENCRYPTED" in (tmp_path / "alice.pem").read_bytes()
    assert read_private_key(tmp_path / "alice.pem", lambda: "open sesame").public == public
    with pytest.raises(ConfigError, match="expected the key's passphrase, found another one"):
        read_private_key(tmp_path / "alice.pem", lambda: "open barley")


def test_keys_made_by_openssl_are_keys(tmp_path):
    private, public = tmp_path / "alice.pem", tmp_path / "alice.pub.pem"
    for command in (["genpkey", "-algorithm", "ed25519", "-out", private], ["pkey", "-in", private, "-pubout"]):
        made = subprocess.run(["openssl", *command], capture_output=True, check=True)
    public.write_bytes(made.stdout.replace(b"\n", b"\r\n"))
    assert read_private_key(private, no_passphrase).public == read_public_key(public)


def of_another_kind() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def test_what_is_no_private_key_is_refused(tmp_path):
    write_key_pair(tmp_path / "alice.pem")
    private = (tmp_path / "alice.pem").read_bytes()
    path = tmp_path / "key.pem"
    for content in (b"", b"garbage", b"\xff" * 100_000, private[:-40], (tmp_path / "alice.pub.pem").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=r"key\.pem: expected an Ed25519 private key"):
            read_private_key(path, no_passphrase)
    path.write_bytes(of_another_kind()[0])
    with pytest.raises(FormatError, match=r"found a key of another kind, .*EC"):
        read_private_key(path, no_passphrase)


def test_what_is_no_public_key_is_refused(tmp_path):
    write_key_pair(tmp_path / "alice.pem")
    public = (tmp_path / "alice.pub.pem").read_bytes()
    path = tmp_path / "key.pem"
    for content in (b"", b"garbage", public[:-40], public.replace(b"MCow", b"MCox"), public * 2, of_another_kind()[1]):
        path.write_bytes(content)
        with pytest.raises(
            FormatError, match=r"key\.pem: expected an Ed25519 public key \(PEM\), found something else"
        ):
            read_public_key(path)
    with pytest.raises(FormatError, match=r"alice\.pem: .*found a private key\. Keep private keys apart"):
        read_public_key(tmp_path / "alice.pem")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "folder.pem").mkdir()
    for name in ("folder.pem", "none.pem"):
        with pytest.raises(FormatError, match=rf"{name}: expected a readable key file"):
            read_public_key(tmp_path / name)
        with pytest.raises(FormatError, match=rf"{name}: expected a readable key file"):
            read_private_key(tmp_path / name, no_passphrase)


def test_a_key_is_called_by_its_file(tmp_path):
    assert [key_name(tmp_path / name) for name in ("alice.pem", "alice.pub.pem", "a.b.pem")] == [
        "alice",
        "alice",
        "a.b",
    ]
