"""What can be wrong with a package or an engine, from the command line: each is refused in its own words.

Every fault goes through ``scnas segment`` as far as it gets: one line on standard error, the exit status of its kind,
and no file. That each fault is told from the others is a test of its own. The single checks are tested more closely
beside the modules that make them.
"""

import io
import json
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest

from scnas_deploy.documents import to_json
from scnas_deploy.export.signing import sign_package
from scnas_deploy.inference.keys import read_private_key, write_key_pair
from scnas_deploy.inference.package import (
    CANARY,
    GENOTYPE,
    MANIFEST,
    MODEL,
    PLAN,
    SIGNATURE,
    WEIGHTS,
    open_package,
    read_seal,
)
from scnas_deploy.inference.signature import PrivateKey
from tests.in_process import scnas_here
from tests.inference.conftest import EngineFake, constant_logits, install_only, read_members, rewrite
from tests.inference.test_package import directory_entry, with_signature, write_zip

MEMBERS = (MANIFEST, PLAN, GENOTYPE, MODEL, WEIGHTS, CANARY, SIGNATURE)


@dataclass(frozen=True)
class Bench:
    """What a fault is made of."""

    good: Path
    """A package signed by alice."""
    broken: Path
    """Where the fault goes; every fault has the same name, so that messages differ by what they say."""
    keys: Path
    """The trusted keys: alice's."""
    alice: PrivateKey


@dataclass(frozen=True)
class Fault:
    """A fault, and how it ends."""

    make: Callable[[Bench], object]
    says: str
    status: int = 3
    options: tuple[str, ...] = ()
    engine: Callable[[Path], EngineFake] | None = field(default=None, kw_only=True)
    """Of the good package; takes the place of the engines installed here."""


def flipped_in(member: str) -> Fault:
    """A byte in the middle of a member's data."""

    def make(bench: Bench) -> None:
        data = bytearray(bench.good.read_bytes())
        entry = directory_entry(data, member)
        size, offset = struct.unpack_from("<I", data, entry + 20)[0], struct.unpack_from("<I", data, entry + 42)[0]
        data[offset + 30 + len(member) + size // 2] ^= 0x10
        bench.broken.write_bytes(data)

    return Fault(make, f"expected an undamaged {member}, found")


def flipped_directory(bench: Bench) -> None:
    data = bytearray(bench.good.read_bytes())
    data[directory_entry(data, MODEL) + 46] ^= 1
    bench.broken.write_bytes(data)


def changed_with_a_fitting_checksum(bench: Bench) -> None:
    members = read_members(bench.good)
    changed = bytearray(members[MODEL])
    changed[len(changed) // 2] ^= 1
    write_zip(bench.broken, (members | {MODEL: bytes(changed)}).items())


def later_schema(member: str) -> Fault:
    def make(bench: Bench) -> None:
        members = read_members(bench.good)
        document = json.dumps(json.loads(members[member]) | {"schema": 9}).encode()
        if member in (MANIFEST, SIGNATURE):
            write_zip(bench.broken, (members | {member: document}).items())
        else:
            rewrite(bench.good, bench.broken, members={member: document}, without=[SIGNATURE])

    return Fault(make, rf"{member}: expected {member.removesuffix('.json').capitalize()} schema 1, found schema 9")


def with_members(**members: bytes) -> Callable[[Bench], object]:
    return lambda bench: rewrite(bench.good, bench.broken, members=members, without=[SIGNATURE])


def bomb(bench: Bench) -> None:
    entries = [*read_members(bench.good).items(), ("zeros.bin", bytes(5_000_000))]
    write_zip(bench.broken, entries, zipfile.ZIP_DEFLATED)


def announces_too_much(bench: Bench) -> None:
    data = bytearray(bench.good.read_bytes())
    struct.pack_into("<I", data, directory_entry(data, MODEL) + 24, 2**32 - 100)
    bench.broken.write_bytes(data)


def shares_bytes(bench: Bench) -> None:
    data = bytearray(bench.good.read_bytes())
    struct.pack_into("<I", data, directory_entry(data, MODEL) + 20, len(data))
    bench.broken.write_bytes(data)


def nested_bomb() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, patches=np.zeros(1_000_000), logits=np.zeros(3), classes=np.zeros(3))
    return stream.getvalue()


def truncated_network(bench: Bench) -> None:
    model = read_members(bench.good)[MODEL]
    with_members(**{MODEL: model[: len(model) // 2]})(bench)


def offset_network(*offsets: float) -> Callable[[Bench], object]:
    """The network with a constant added to each class's logits: an honest package of a network gone wrong."""

    def make(bench: Bench) -> None:
        model = onnx.load_from_string(read_members(bench.good)[MODEL])
        output = model.graph.output[0].name
        for node in model.graph.node:
            node.output[:] = ["raw" if name == output else name for name in node.output]
        constant = np.reshape(np.float32(offsets), (1, -1, 1, 1, 1))
        model.graph.initializer.append(onnx.numpy_helper.from_array(constant, "offset"))
        model.graph.node.append(onnx.helper.make_node("Add", ["raw", "offset"], [output]))
        with_members(**{MODEL: model.SerializeToString()})(bench)

    return make


def good_until_later(later: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], EngineFake]:
    """Engines that answer the canary when they are opened, and then fail."""

    def make(package: Path) -> EngineFake:
        right = open_package(package).canary.logits_BKXYZ
        engine = EngineFake(lambda patches: later(patches) if len(engine.batches) > 1 else right)
        return engine

    return make


def mixing(package: Path) -> EngineFake:
    """An engine that answers the second patch of a batch with the first one's logits."""
    canary = open_package(package).canary

    def answer(patches: np.ndarray) -> np.ndarray:
        logits = [
            canary.logits_BKXYZ[0] if np.array_equal(patch, canary.patches_BCXYZ[0]) else -canary.logits_BKXYZ[0]
            for patch in patches
        ]
        return np.stack(logits[::-1])

    return EngineFake(answer, preferred_batch=2)


def good(bench: Bench) -> None:
    bench.broken.write_bytes(bench.good.read_bytes())


def resigned(change: Callable[[Bench], dict[str, str]]) -> Callable[[Bench], object]:
    """The good package, its signature's fields replaced."""

    def make(bench: Bench) -> None:
        signature = read_seal(bench.good).signature.model_copy(update=change(bench))
        with_signature(bench.good, bench.broken, to_json(signature).encode())

    return make


def of_another_package(bench: Bench) -> None:
    other = rewrite(bench.good, bench.broken, manifest={"name": "other"}, without=[SIGNATURE])
    sign_package(other, bench.alice, other)
    with_signature(bench.good, bench.broken, read_members(other)[SIGNATURE])


def unsigned(bench: Bench) -> None:
    rewrite(bench.good, bench.broken, without=[SIGNATURE])


def garbage_among_the_keys(bench: Bench) -> None:
    good(bench)
    (bench.keys / "bob.pem").write_bytes(b"garbage")


def private_among_the_keys(bench: Bench) -> None:
    good(bench)
    write_key_pair(bench.keys / "bob.pem")


REQUIRED = ("--require-signature",)
NAN, BACKGROUND = constant_logits(np.nan, 0, 0), constant_logits(10, -10, -10)

FAULTS = {
    **{f"a changed byte in {member}": flipped_in(member) for member in MEMBERS},
    "a changed byte in the directory": Fault(flipped_directory, "no model.onnx"),
    "a changed byte with a fitting checksum": Fault(changed_with_a_fitting_checksum, "the digest of model.onnx"),
    "cut off": Fault(lambda b: b.broken.write_bytes(b.good.read_bytes()[:9999]), "an undamaged zip file"),
    **{f"a later schema of {m}": later_schema(m) for m in (MANIFEST, PLAN, GENOTYPE, SIGNATURE)},
    "a bomb": Fault(bomb, "zeros.bin that grows to 5000000 bytes"),
    "many members": Fault(with_members(**{f"m{i}": b"" for i in range(40)}), "at most 32 members"),
    "a bomb of gigabytes": Fault(announces_too_much, "at most 4 GiB unpacked"),
    "a bomb of shared bytes": Fault(shares_bytes, "some that share bytes"),
    "a bomb within the canary": Fault(with_members(**{CANARY: nested_bomb()}), "arrays that grow to 80"),
    "a member that is a path": Fault(with_members(**{"../evil": b"x"}), "the member '../evil'"),
    "a member that nobody listed": Fault(
        lambda b: write_zip(b.broken, [*read_members(b.good).items(), ("x", b"")]), "exactly the members listed"
    ),
    "a truncated network": Fault(truncated_network, "expected a loadable ONNX model", 1),
    "a network of NaN": Fault(offset_network(np.nan, 0, 0), "canary answer within .*, found NaN or infinity", 1),
    "a network of background": Fault(offset_network(1e3, 0, 0), "found nothing but background", 1),
    "a network slightly off": Fault(offset_network(0, 0.1, 0), "found a largest difference of 0.1", 1),
    "an engine of NaN, later": Fault(good, "finite logits", 1, engine=good_until_later(NAN)),
    "an engine of background, later": Fault(
        good,
        "found no structure still answers .*, found nothing but background",
        1,
        engine=good_until_later(BACKGROUND),
    ),
    "an engine that mixes up patches": Fault(good, "it mixes up patches", 1, engine=mixing),
    "a wrong signature": Fault(resigned(lambda _: {"signature": "A" * 86 + "=="}), "this key does not verify"),
    "a signature by another key than it says": Fault(
        resigned(lambda b: {"signature": PrivateKey().sign(read_seal(b.good).manifest).signature}),
        "a signature by 'alice', as it says",
    ),
    "an unknown key": Fault(lambda b: sign_package(b.good, PrivateKey(), b.broken), "an unknown key", 3, REQUIRED),
    "no signature": Fault(unsigned, "found no signature", 3, REQUIRED),
    "the signature of another package": Fault(of_another_package, "the signature of another one"),
    "garbage among the keys": Fault(garbage_among_the_keys, "bob.pem: expected an Ed25519 public key"),
    "a private key among the keys": Fault(private_among_the_keys, "found a private key"),
}
ALIKE = {"a wrong signature", "a signature by another key than it says"}
"""Nobody can tell them apart."""


@pytest.fixture(scope="module")
def signer(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("signer") / "alice.pem"
    write_key_pair(path)
    return path


@dataclass(frozen=True)
class Outcome:
    """How ``scnas segment`` ended on a fault."""

    status: int
    said: list[str]
    """Lines on standard error, without the folder that differs from fault to fault."""
    left: list[Path]


@pytest.fixture(scope="module")
def outcomes(exported, signer, phantom_dataset, tmp_path_factory) -> dict[str, Outcome]:
    study = phantom_dataset.cases[0].images[0]
    return {name: outcome(fault, exported.package, signer, study, tmp_path_factory.mktemp("fault"))
            for name, fault in FAULTS.items()}  # fmt: skip


def outcome(fault: Fault, package: Path, signer: Path, study: Path, folder: Path) -> Outcome:
    for name in ("in", "out", "keys"):
        (folder / name).mkdir()
    shutil.copy(signer.with_suffix(".pub.pem"), folder / "keys")
    bench = Bench(
        folder / "in" / "good.scnas", folder / "in" / "p.scnas", folder / "keys", read_private_key(signer, str)
    )
    sign_package(package, bench.alice, bench.good)
    fault.make(bench)
    with pytest.MonkeyPatch.context() as patched:
        if fault.engine is not None:
            install_only(fault.engine(bench.good), patched)
            patched.setattr("scnas_deploy.inference.model.best_batch", lambda engine, _: engine.preferred_batch)
        trusted = {"SCNAS_TRUSTED_KEYS": str(bench.keys)}
        call = ["segment", study, "-m", bench.broken, *fault.options]
        ended = scnas_here(folder / "out", *call, environment=trusted)
    said = ended.stderr.replace(str(folder), "").splitlines()
    return Outcome(ended.returncode, said, list((folder / "out").iterdir()))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_with_one_line_and_no_file(name, outcomes):
    fault, ended = FAULTS[name], outcomes[name]
    assert ended.status == fault.status
    assert [line for line in ended.said if line.startswith("scnas: ")] == ended.said[-1:]
    assert re.search(fault.says, ended.said[-1]), ended.said[-1]
    assert ended.left == []


def test_each_fault_is_told_from_the_others(outcomes):
    messages = {name: re.sub(r"(openvino|fake) [\d.]+", "the engine", end.said[-1]) for name, end in outcomes.items()}
    twice = {name for name, said in messages.items() if list(messages.values()).count(said) > 1}
    assert twice == ALIKE


def test_without_a_fault_the_same_call_segments(exported, signer, phantom_dataset, tmp_path):
    ended = outcome(
        Fault(good, "", options=REQUIRED), exported.package, signer, phantom_dataset.cases[0].images[0], tmp_path
    )
    assert ended.status == 0
    assert [path.name for path in ended.left] == ["phantom_000_seg.nii.gz"]
