"""A signature is its key's and its content's, and no other's."""

import json
from base64 import b64encode

import pytest

from scnas_deploy.documents import parse_document, to_json
from scnas_deploy.errors import FormatError
from scnas_deploy.files import sha256_of
from scnas_deploy.inference.signature import PrivateKey, PublicKey, Signature

# RFC 8032, section 7.1, test 3.
RFC_KEY = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
RFC_CONTENT = bytes.fromhex("af82")
RFC_SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)


def test_the_standards_own_signature_verifies_and_none_of_its_neighbours():
    def verdict(key: bytes, content: bytes, signature: bytes) -> bool:
        document = Signature(key=sha256_of(key), manifest=sha256_of(content), signature=b64encode(signature).decode())
        return PublicKey(key).verifies(content, document)

    def other(data: bytes, place: int) -> bytes:
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    assert verdict(RFC_KEY, RFC_CONTENT, RFC_SIGNATURE)
    assert not verdict(RFC_KEY, RFC_CONTENT + b"\0", RFC_SIGNATURE)
    assert not verdict(RFC_KEY, other(RFC_CONTENT, 1), RFC_SIGNATURE)
    assert not any(verdict(RFC_KEY, RFC_CONTENT, other(RFC_SIGNATURE, place)) for place in range(64))
    assert not any(verdict(other(RFC_KEY, place), RFC_CONTENT, RFC_SIGNATURE) for place in range(32))


def test_what_a_key_signs_its_public_half_verifies_and_no_other_key():
    key, other = PrivateKey(), PrivateKey()
    signature = key.sign(b"manifest")
    assert (signature.key, signature.manifest) == (key.public.fingerprint, sha256_of(b"manifest"))
    assert key.public.verifies(b"manifest", signature)
    assert not key.public.verifies(b"another", signature)
    assert not other.public.verifies(b"manifest", signature)
    assert key.sign(b"manifest") == signature


WRONG = {
    "schema 2": {"schema": 2},
    "another algorithm": {"algorithm": "rsa"},
    "no fingerprint": {"key": "me"},
    "too short": {"signature": b64encode(bytes(63)).decode()},
    "no base64": {"signature": "!" * 86 + "=="},
    "one field more": {"comment": "trust me"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_document_that_is_no_signature_is_refused(wrong):
    document = json.loads(to_json(PrivateKey().sign(b"manifest")))
    assert parse_document("s", json.dumps(document).encode(), Signature, made_by="a test")
    with pytest.raises(FormatError):
        parse_document("s", json.dumps(document | WRONG[wrong]).encode(), Signature, made_by="a test")
