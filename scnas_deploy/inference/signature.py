"""The signature of a model package: who vouches for it.

Signed are the exact bytes of manifest.json, which hold the digests of all other members: one signature covers the
package, and signing changes neither its digest nor any other member.

Reference:
    Josefsson, Liusvaara, Edwards-Curve Digital Signature Algorithm (EdDSA), RFC 8032: Ed25519.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from scnas_deploy.documents import Frozen
from scnas_deploy.extras import require
from scnas_deploy.files import sha256_of

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Signature(Frozen):
    """signature.json, schema 1."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    algorithm: Literal["ed25519"] = "ed25519"
    key: Digest
    """Fingerprint of the public key that verifies it."""
    manifest: Digest
    """SHA-256 of the manifest that was signed, so that a signature of another package is known without any key."""
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
    """Base64 of the 64 bytes."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What there is to judge whom a package comes from."""

    manifest: bytes
    """The exact bytes of manifest.json."""
    signature: Signature | None
    """None where the package is not signed."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key."""

    raw: bytes
    """Its 32 bytes."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key's bytes."""
        return sha256_of(self.raw)

    def verifies(self, content: bytes, signature: Signature) -> bool:
        """Whether this key's owner signed the content.

        Raises:
            MissingExtraError: If cryptography is not installed.
        """
        exceptions = require("cryptography.exceptions", extra="sign", purpose="checking a signature")
        try:
            _ed25519().Ed25519PublicKey.from_public_bytes(self.raw).verify(b64decode(signature.signature), content)
        except exceptions.InvalidSignature:
            return False
        return True


class PrivateKey:
    """An Ed25519 private key.

    Args:
        key: The library's; left out, a new one.

    Raises:
        MissingExtraError: If cryptography is not installed.
    """

    def __init__(self, key: Any = None) -> None:
        self.key = key or _ed25519().Ed25519PrivateKey.generate()

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this one signs."""
        return PublicKey(self.key.public_key().public_bytes_raw())

    def sign(self, manifest: bytes) -> Signature:
        """Sign the bytes of a package's manifest."""
        signature = b64encode(self.key.sign(manifest)).decode()
        return Signature(key=self.public.fingerprint, manifest=sha256_of(manifest), signature=signature)


def _ed25519() -> Any:
    return require("cryptography.hazmat.primitives.asymmetric.ed25519", extra="sign", purpose="signatures")
