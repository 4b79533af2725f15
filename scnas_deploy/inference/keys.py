"""Keys in files: PEM, as OpenSSL writes them.

A public key is read without any library, so that a folder of trusted keys costs a start nothing.

Reference:
    Josefsson, Schaad, Algorithm Identifiers for Ed25519, Ed448, X25519, and X448, RFC 8410, section 4.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scnas_deploy.errors import ConfigError, FormatError, OutputError
from scnas_deploy.extras import require
from scnas_deploy.files import write_secret, write_text
from scnas_deploy.inference.signature import PrivateKey, PublicKey

SUFFIX, PUBLIC_SUFFIX = ".pem", ".pub.pem"

_PUBLIC = re.compile(
    rb"\s*-----BEGIN PUBLIC KEY-----\s+MCowBQYDK2VwAyEA([A-Za-z0-9+/]{43}=)\s+-----END PUBLIC KEY-----\s*"
)
"""Twelve bytes that say Ed25519, 16 characters, and the key's 32."""
_MOST_BYTES = 16_384
"""A key has hundreds; who names another file gets an error and not its bytes in memory."""


def key_name(path: Path) -> str:
    """The name of a key: that of its file without suffixes."""
    return path.name.removesuffix(SUFFIX).removesuffix(".pub")


def read_public_key(path: Path) -> PublicKey:
    """Read an Ed25519 public key.

    Raises:
        FormatError: If the file is unreadable or no such key.
    """
    content = _read(path)
    found = _PUBLIC.fullmatch(content)
    if found is None:
        private = b"PRIVATE KEY" in content
        raise FormatError(
            path,
            expected="an Ed25519 public key (PEM)",
            found="a private key" if private else "something else",
            remedy="Keep private keys apart and secret, and leave the .pub.pem file here"
            if private
            else "Take the .pub.pem file that scnas sign --new-key wrote, or remove this one",
        )
    return PublicKey(b64decode(found[1]))


def read_private_key(path: Path, passphrase: Callable[[], str]) -> PrivateKey:
    """Read an Ed25519 private key.

    Args:
        path: The file.
        passphrase: Called where the key is protected by one.

    Raises:
        FormatError: If the file is unreadable or no such key.
        ConfigError: If the passphrase is wrong.
        MissingExtraError: If cryptography is not installed.
    """
    content = _read(path)
    try:
        key = _load(path, content, None)
    except TypeError:  # says that it is encrypted
        key = _load(path, content, passphrase().encode())
    ed25519 = require("cryptography.hazmat.primitives.asymmetric.ed25519", extra="sign", purpose="signing")
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise _no_private_key(path, f"a key of another kind, {type(key).__name__}")
    return PrivateKey(key)


def write_key_pair(path: Path, passphrase: str | None = None) -> PublicKey:
    """Write a new private key that only its owner can read, and its public key beside it.

    Args:
        path: Of the private key, KEY.pem; the public one becomes KEY.pub.pem.
        passphrase: Protects the private key.

    Raises:
        ConfigError: If the name does not end in .pem, or KEY.pub.pem exists.
        OutputError: If KEY.pem exists, or the files cannot be written.
        MissingExtraError: If cryptography is not installed.
    """
    if path.suffix != SUFFIX or path.name.endswith(PUBLIC_SUFFIX):
        raise ConfigError(path, expected="a name such as key.pem", found=path.name, remedy="Choose another name")
    public = path.with_suffix(PUBLIC_SUFFIX)
    if public.exists():
        raise ConfigError(
            public, expected="a new file", found="an existing one", remedy="Choose another name: it may be needed"
        )
    key, pem = PrivateKey(), _serialization()
    protection = pem.BestAvailableEncryption(passphrase.encode()) if passphrase else pem.NoEncryption()
    write_secret(path, key.key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, protection))
    encoded = key.key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    try:
        write_text(public, encoded.decode())
    except OutputError:
        path.unlink()
        raise
    return key.public


def _load(path: Path, content: bytes, passphrase: bytes | None) -> Any:
    exceptions = require("cryptography.exceptions", extra="sign", purpose="signing")
    try:
        return _serialization().load_pem_private_key(content, passphrase)
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        if passphrase is None:
            raise _no_private_key(path, "something else") from error
        raise ConfigError(
            path, expected="the key's passphrase", found="another one", remedy="Try again, or check SCNAS_KEY_PASSWORD"
        ) from error


def _no_private_key(path: Path, found: str) -> FormatError:
    return FormatError(
        path,
        expected="an Ed25519 private key (PEM)",
        found=found,
        remedy="Name the file that scnas sign --new-key wrote",
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise FormatError(
            path, expected="a readable key file", found=str(error.strerror), remedy="Check path and permissions"
        ) from error


def _serialization() -> Any:
    return require("cryptography.hazmat.primitives.serialization", extra="sign", purpose="signing")
