"""Whom to believe: a folder of public keys, and what a package's signature comes to with it.

| Package | always | with ``required`` |
|---|---|---|
| signed by a trusted key, and the signature verifies | taken | taken |
| signed by a trusted key, and it does not verify | refused | refused |
| signed by any other key | taken, and said | refused |
| not signed | taken | refused |

Refused whatever the keys, when the package is read: a signature.json that is none, or that belongs to another manifest.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from platformdirs import user_config_path

from scnas_deploy.errors import ConfigError, PackageError
from scnas_deploy.inference.keys import SUFFIX, key_name, read_public_key
from scnas_deploy.inference.signature import PublicKey, Seal, Signature

_FOLDER = "SCNAS_TRUSTED_KEYS"
_Keys: TypeAlias = dict[str, tuple[str, PublicKey]]
"""Fingerprint -> name and key."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """By whom a package is signed."""

    fingerprint: str | None = None
    """Of the key that it says it is signed with; None where it is not signed."""
    signer: str | None = None
    """Name of the trusted key that verified the signature; None where none did."""

    def __str__(self) -> str:
        if self.fingerprint is None:
            return "not signed"
        by = self.signer or "a key that is not trusted"
        return f"signed by {by} ({self.fingerprint[:16]})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Whose signatures count, and whether one is needed."""

    folder: Path | None = None
    """Ed25519 public keys, a ``*.pem`` file each; None trusts nobody."""
    required: bool = False
    """Refuse a package without a valid signature by one of these keys."""

    def judge(self, package: Path, seal: Seal) -> Verdict:
        """Check a package's signature.

        Raises:
            PackageError: If it is refused by the table above.
            ConfigError: If the folder does not exist.
            FormatError: If a file in it is no public key.
            MissingExtraError: If a signature is to be checked and cryptography is not installed.
        """
        signature = seal.signature
        keys = self._keys() if signature is not None or self.required else {}
        if signature is not None and signature.key in keys:
            return _verified(package, seal.manifest, signature, *keys[signature.key])
        if self.required:
            found = "no signature" if signature is None else f"one by an unknown key, {signature.key}"
            raise _refuse(package, keys, found)
        return Verdict(None if signature is None else signature.key)

    def _keys(self) -> _Keys:
        """Read the trusted keys."""
        if self.folder is None:
            return {}
        if not self.folder.is_dir():
            raise ConfigError(
                self.folder,
                expected="a folder of trusted public keys",
                found="no such folder",
                remedy=f"Make it, or correct {_FOLDER}",
            )
        read = [(key_name(file), read_public_key(file)) for file in sorted(self.folder.glob(f"*{SUFFIX}"))]
        return {key.fingerprint: (name, key) for name, key in read}


def user_keys() -> Path:
    """The folder of trusted keys: $SCNAS_TRUSTED_KEYS, or in the user's configuration."""
    chosen = os.environ.get(_FOLDER)
    return Path(chosen) if chosen else user_config_path("scnas") / "trusted-keys"


def user_trust(*, required: bool = False) -> Trust:
    """Trust in the keys of :func:`user_keys`; only a folder that was named must exist."""
    folder = user_keys()
    return Trust(folder=folder if os.environ.get(_FOLDER) or folder.is_dir() else None, required=required)


def _verified(package: Path, manifest: bytes, signature: Signature, name: str, key: PublicKey) -> Verdict:
    if not key.verifies(manifest, signature):
        raise PackageError(
            package,
            expected=f"a signature by '{name}', as it says",
            found="one that this key does not verify",
            remedy="Do not use it; get it again from its signer",
        )
    return Verdict(signature.key, name)


def _refuse(package: Path, keys: _Keys, found: str) -> PackageError:
    return PackageError(
        package,
        expected=f"a signature by a trusted key ({', '.join(sorted(name for name, _ in keys.values())) or 'none is'})",
        found=found,
        remedy="Do not use it; to trust a signer, put the public key into the folder that scnas doctor names",
    )
