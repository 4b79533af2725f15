"""A package opens as it was written, or not at all."""

import io
import json
import struct
import warnings
import zipfile

import numpy as np
import pytest

from scnas_deploy.errors import FormatError, PackageError
from scnas_deploy.export.package import write_package
from scnas_deploy.export.signing import sign_package
from scnas_deploy.files import sha256_of
from scnas_deploy.inference.package import (
    CANARY,
    GENOTYPE,
    MANIFEST,
    MODEL,
    MODELS,
    PLAN,
    SIGNATURE,
    WEIGHTS,
    open_package,
    read_seal,
)
from scnas_deploy.inference.signature import PrivateKey
from tests.inference.conftest import AnyManifest, read_members, rewrite


def assert_same_content(package, original):
    assert package.digest == original.digest
    assert package.manifest == original.manifest
    assert package.plan == original.plan
    assert package.genotype == original.genotype
    assert package.model == original.model
    for field in ("patches_BCXYZ", "logits_BKXYZ", "classes_XYZ"):
        np.testing.assert_array_equal(getattr(package.canary, field), getattr(original.canary, field))


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def write_zip(target, entries, compression=zipfile.ZIP_STORED):
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w", compression) as archive:
        warnings.simplefilter("ignore", UserWarning)  # a name twice
        for name, data in entries:
            archive.writestr(name, data)
    return target


def directory_entry(data: bytes, name: str) -> int:
    """Where a member's entry starts in the zip's central directory."""
    end = data.rfind(b"PK\x05\x06")
    position = struct.unpack_from("<I", data, end + 16)[0]
    while data[position : position + 4] == b"PK\x01\x02":
        length, extra, comment = struct.unpack_from("<HHH", data, position + 28)
        if data[position + 46 : position + 46 + length] == name.encode():
            return position
        position += 46 + length + extra + comment
    raise KeyError(name)


def test_a_good_package_opens_with_all_that_was_written(exported, phantom_plan):
    package = open_package(exported.package)
    members = read_members(exported.package)
    assert package.plan == phantom_plan
    assert package.model == members[MODEL]
    assert package.digest == sha256_of(members[MANIFEST])
    assert package.manifest.name == "phantom"
    assert package.genotype.architecture.structure_hash == package.manifest.structure_hash
    assert package.canary.patches_BCXYZ.shape == (1, 1, *phantom_plan.patch_size)
    assert package.canary.logits_BKXYZ.shape == (1, 3, *phantom_plan.patch_size)


def test_the_manifests_patch_size_overrides_the_plans(exported, tmp_path):
    plan = json.loads(read_members(exported.package)[PLAN])
    assert plan["patch_size"] == [24, 24, 24]
    plan["patch_size"] = [32, 32, 32]
    path = rewrite(exported.package, tmp_path / "p.scnas", members={PLAN: json.dumps(plan).encode()})
    assert open_package(path).plan.patch_size == (24, 24, 24)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"gone\.scnas: expected a model package .*no such file"):
        open_package(tmp_path / "gone.scnas")


def test_a_changed_byte_is_refused_or_changes_nothing(exported, tmp_path):
    original, data = open_package(exported.package), exported.package.read_bytes()
    rng = np.random.default_rng(20)
    tail = len(data) - 700  # the directory, where a byte means most
    places = [*rng.integers(0, len(data), 30), *rng.integers(0, 1000, 10), *rng.integers(tail, len(data), 20)]
    path, refused = tmp_path / "p.scnas", 0
    for place in places:
        changed = bytearray(data)
        changed[place] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        try:
            package = open_package(path)
        except (PackageError, FormatError):
            refused += 1
        else:
            assert_same_content(package, original)
    assert refused >= 30  # at least all those within a member's data


@pytest.mark.parametrize("member", [MANIFEST, MODEL, CANARY])
@pytest.mark.parametrize("method", [1, 9, 12, 14, 93, 255])
def test_another_compression_method_in_the_directory_is_refused(member, method, exported, tmp_path):
    data = bytearray(exported.package.read_bytes())
    data[directory_entry(data, member) + 10] = method
    (tmp_path / "p.scnas").write_bytes(data)
    with pytest.raises(PackageError, match=r"p\.scnas"):
        open_package(tmp_path / "p.scnas")


def test_a_member_name_that_is_no_text_is_refused(exported, tmp_path):
    data = bytearray(exported.package.read_bytes())
    entry = directory_entry(data, MODEL)
    data[entry + 9] |= 0x08  # announces UTF-8
    data[entry + 46] = 0xFF
    (tmp_path / "p.scnas").write_bytes(data)
    with pytest.raises(PackageError, match=r"p\.scnas"):
        open_package(tmp_path / "p.scnas")


@pytest.mark.parametrize("cut", [1, 18, 20, 22, 100, 1000, 100_000])
def test_a_truncated_file_is_refused(cut, exported, tmp_path):
    """Cut right, it ends with the canary's own zip directory, and is still none of ours."""
    data = exported.package.read_bytes()
    (tmp_path / "p.scnas").write_bytes(data[:-cut])
    with pytest.raises(PackageError, match=r"expected (an undamaged zip file|the members manifest)"):
        open_package(tmp_path / "p.scnas")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "p.scnas").touch()
    with pytest.raises(PackageError, match="expected an undamaged zip file"):
        open_package(tmp_path / "p.scnas")


def test_what_is_no_zip_is_refused(tmp_path):
    (tmp_path / "p.scnas").write_bytes(b"a network, honestly" * 1000)
    with pytest.raises(PackageError, match="expected an undamaged zip file"):
        open_package(tmp_path / "p.scnas")


@pytest.mark.parametrize("member", [MANIFEST, PLAN, GENOTYPE])
def test_a_later_schema_is_refused_by_its_number(member, exported, tmp_path):
    if member == MANIFEST:
        path = rewrite(exported.package, tmp_path / "p.scnas", manifest={"schema": 2})
    else:
        document = json.loads(read_members(exported.package)[member]) | {"schema": 2}
        path = rewrite(exported.package, tmp_path / "p.scnas", members={member: json.dumps(document).encode()})
    kind = member.removesuffix(".json").capitalize()
    with pytest.raises(PackageError, match=rf"{member}: expected {kind} schema 1, found schema 2"):
        open_package(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe\x00", b'{"schema": 1}', b"[" * 100_000])
def test_a_plan_that_is_none_is_refused(content, exported, tmp_path):
    with pytest.raises(PackageError, match=r"plan\.json"):
        open_package(rewrite(exported.package, tmp_path / "p.scnas", members={PLAN: content}))


@pytest.mark.parametrize("member", [MANIFEST, PLAN, GENOTYPE, MODEL, CANARY])
def test_a_missing_member_is_named(member, exported, tmp_path):
    kept = [(name, data) for name, data in read_members(exported.package).items() if name != member]
    with pytest.raises(PackageError, match=rf"found no {member}"):
        open_package(write_zip(tmp_path / "p.scnas", kept))


def test_a_listed_member_that_is_not_there_is_refused(exported, tmp_path):
    kept = [(name, data) for name, data in read_members(exported.package).items() if name != WEIGHTS]
    with pytest.raises(PackageError, match="exactly the members listed in the manifest"):
        open_package(write_zip(tmp_path / "p.scnas", kept))


def test_a_member_that_is_not_listed_is_refused(exported, tmp_path):
    entries = [*read_members(exported.package).items(), ("extra.bin", b"hello")]
    with pytest.raises(PackageError, match=r"exactly the members listed in the manifest.*extra\.bin"):
        open_package(write_zip(tmp_path / "p.scnas", entries))


@pytest.mark.parametrize("first", [True, False])
def test_a_member_given_twice_is_refused(first, exported, tmp_path):
    entries, second = list(read_members(exported.package).items()), (MODEL, b"another network")
    with pytest.raises(PackageError, match="each once"):
        open_package(write_zip(tmp_path / "p.scnas", [second, *entries] if first else [*entries, second]))


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "a\\b", "..", ".hidden", "a b", "ä", "C:x"])
def test_a_member_that_is_a_path_is_refused_even_if_listed(name, exported, tmp_path):
    path = rewrite(exported.package, tmp_path / "p.scnas", members={name: b"x"})
    with pytest.raises(PackageError, match="expected members without folders, found the member"):
        open_package(path)
    assert sorted(tmp_path.iterdir()) == [path]


def test_too_many_members_are_refused(exported, tmp_path):
    path = rewrite(exported.package, tmp_path / "p.scnas", members={f"m{i}": b"" for i in range(40)})
    with pytest.raises(PackageError, match="at most 32 members"):
        open_package(path)


def test_a_member_that_unpacks_to_far_more_than_it_weighs_is_refused(exported, tmp_path):
    entries = [*read_members(exported.package).items(), ("zeros.bin", bytes(20_000_000))]
    path = write_zip(tmp_path / "p.scnas", entries, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 3_000_000
    with pytest.raises(PackageError, match=r"plausible compression, found zeros\.bin that grows to 20000000 bytes"):
        open_package(path)


def test_members_that_share_bytes_are_refused(exported, tmp_path):
    """Many of them could be one bomb, each within the ratio."""
    data = bytearray(exported.package.read_bytes())
    entry = directory_entry(data, PLAN)
    struct.pack_into("<I", data, entry + 20, len(data))
    (tmp_path / "p.scnas").write_bytes(data)
    with pytest.raises(PackageError, match="expected members that lie side by side, found some that share bytes"):
        open_package(tmp_path / "p.scnas")


def test_more_than_the_memory_is_good_for_is_refused_before_it_is_unpacked(exported, tmp_path):
    data = bytearray(exported.package.read_bytes())
    struct.pack_into("<I", data, directory_entry(data, MODEL) + 24, 2**32 - 100)
    (tmp_path / "p.scnas").write_bytes(data)
    with pytest.raises(PackageError, match="at most 4 GiB unpacked"):
        open_package(tmp_path / "p.scnas")


@pytest.mark.parametrize("factor", [0.5, 0.999, 1.001, 2])
@pytest.mark.parametrize("member", [MANIFEST, MODEL])
def test_a_member_that_lies_about_its_size_is_refused(member, factor, exported, tmp_path):
    data = bytearray(exported.package.read_bytes())
    entry = directory_entry(data, member)
    size = struct.unpack_from("<I", data, entry + 24)[0]
    struct.pack_into("<I", data, entry + 24, int(size * factor))
    (tmp_path / "p.scnas").write_bytes(data)
    with pytest.raises(PackageError, match=r"p\.scnas"):
        open_package(tmp_path / "p.scnas")


def test_a_bomb_that_lies_about_its_size_is_not_unpacked(exported, tmp_path):
    entries = [*read_members(exported.package).items(), ("zeros.bin", bytes(20_000_000))]
    path = write_zip(tmp_path / "p.scnas", entries, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, directory_entry(data, "zeros.bin") + 24, 1000)
    path.write_bytes(data)
    with pytest.raises(PackageError, match=r"p\.scnas"):
        open_package(path)


@pytest.mark.parametrize("member", [PLAN, GENOTYPE, MODEL, WEIGHTS, CANARY])
def test_a_changed_digest_in_the_manifest_is_refused(member, exported, tmp_path):
    manifest = json.loads(read_members(exported.package)[MANIFEST])
    digest = manifest["digests"][member]
    manifest["digests"][member] = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    path = rewrite(exported.package, tmp_path / "p.scnas", manifest=manifest)
    with pytest.raises(PackageError, match=rf"expected the digest of {member} given in the manifest, found another"):
        open_package(path)


def test_a_member_changed_with_a_fitting_zip_checksum_is_refused(exported, tmp_path):
    members = read_members(exported.package)
    model = bytearray(members[MODEL])
    model[len(model) // 2] ^= 1
    path = tmp_path / "p.scnas"
    manifest = AnyManifest(**json.loads(members.pop(MANIFEST)))
    write_package(path, manifest, {**members, MODEL: bytes(model)})
    with pytest.raises(PackageError, match=rf"digest of {MODEL}"):
        open_package(path)


def test_a_genotype_of_another_structure_is_refused(exported, tmp_path):
    genotype = json.loads(read_members(exported.package)[GENOTYPE])
    cells = genotype["architecture"]["cells"]
    cells["encoder"] = ["conv_3x3x3"] * 14
    path = rewrite(exported.package, tmp_path / "p.scnas", members={GENOTYPE: json.dumps(genotype).encode()})
    with pytest.raises(PackageError, match="expected the genotype named in the manifest, found another genotype"):
        open_package(path)


def test_a_name_that_is_a_path_is_refused(exported, tmp_path):
    with pytest.raises(PackageError, match="field 'name'"):
        open_package(rewrite(exported.package, tmp_path / "p.scnas", manifest={"name": "../../evil"}))


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("the pickle was loaded",)


def test_a_pickled_object_in_the_canary_is_never_loaded(exported, tmp_path):
    trap = np.array([Trap()], dtype=object)
    for content in (npz(patches=trap, logits=trap, classes=trap), trap.dumps()):
        with pytest.raises(PackageError, match="canary with patches, logits and classes"):
            open_package(rewrite(exported.package, tmp_path / "p.scnas", members={CANARY: content}))


def huge_npz() -> bytes:
    header, archive_bytes = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1, 1, 10**6, 10**6, 10)}
    )
    with zipfile.ZipFile(archive_bytes, "w") as archive:
        for name in ("patches", "logits", "classes"):
            archive.writestr(f"{name}.npy", header.getvalue())
    return archive_bytes.getvalue()


def empty_npz() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("patches", "logits", "classes"):
            archive.writestr(f"{name}.npy", b"")
    return buffer.getvalue()


def single_npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3, dtype=np.float32))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"none", single_npy(), npz(patches=np.zeros(3)), empty_npz(), huge_npz()],
    ids=["empty", "garbage", "npy", "incomplete", "no arrays", "huge"],
)
def test_a_canary_that_is_none_is_refused(content, exported, tmp_path):
    with pytest.raises(PackageError, match="canary with patches, logits and classes"):
        open_package(rewrite(exported.package, tmp_path / "p.scnas", members={CANARY: content}))


def test_a_bomb_within_the_canary_is_not_unpacked(exported, tmp_path):
    """The package's own members are of plausible sizes; the canary is a zip file within one of them."""
    bomb = io.BytesIO()
    np.savez_compressed(bomb, patches=np.zeros(10_000_000), logits=np.zeros(3), classes=np.zeros(3))
    path = rewrite(exported.package, tmp_path / "p.scnas", members={CANARY: bomb.getvalue()})
    assert path.stat().st_size < exported.package.stat().st_size + 100_000
    with pytest.raises(PackageError, match="found arrays that grow to 80000"):
        open_package(path)


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.dtype(">f4"), np.complex64, "S4"])
def test_a_canary_of_other_numbers_is_refused(dtype, exported, tmp_path):
    size = (24, 24, 24)
    arrays = {"patches": np.zeros((1, 1, *size), dtype), "logits": np.zeros((1, 3, *size), np.float32)}
    content = npz(**arrays, classes=np.zeros(size, np.uint8))
    with pytest.raises(PackageError, match=rf"canary .*, found (arrays that grow|{np.dtype(dtype)} \(1, 1, 24)"):
        open_package(rewrite(exported.package, tmp_path / "p.scnas", members={CANARY: content}))


def signed(exported, path, key=None):
    sign_package(exported.package, key or PrivateKey(), path)
    return path


def with_signature(package, target, content):
    """The package with another signature.json, nothing else changed."""
    return write_zip(target, [*(read_members(package) | {SIGNATURE: content}).items()])


def test_a_signed_package_opens_as_the_unsigned_one(exported, tmp_path):
    package, original = open_package(signed(exported, tmp_path / "p.scnas")), open_package(exported.package)
    assert_same_content(package, original)
    assert read_seal(package.path) == package.seal
    assert (original.seal.signature, read_seal(exported.package)) == (None, original.seal)


def test_besides_the_signature_no_unlisted_member_is_taken(exported, tmp_path):
    entries = [*read_members(signed(exported, tmp_path / "s.scnas")).items(), ("signature2.json", b"{}")]
    with pytest.raises(PackageError, match=r"exactly the members listed in the manifest.*signature2\.json"):
        open_package(write_zip(tmp_path / "p.scnas", entries))


def test_a_signature_that_the_manifest_lists_is_refused(exported, tmp_path):
    """It would have to hold its own digest."""
    content = read_members(signed(exported, tmp_path / "s.scnas"))[SIGNATURE]
    with pytest.raises(PackageError, match="exactly the members listed in the manifest"):
        open_package(rewrite(exported.package, tmp_path / "p.scnas", members={SIGNATURE: content}))


@pytest.mark.parametrize("read", [open_package, read_seal])
def test_the_signature_of_another_package_is_refused_without_any_key(read, exported, tmp_path):
    other = rewrite(exported.package, tmp_path / "other.scnas", manifest={"name": "other"})
    sign_package(other, PrivateKey(), other)
    path = with_signature(exported.package, tmp_path / "p.scnas", read_members(other)[SIGNATURE])
    with pytest.raises(PackageError, match="expected a signature of this package, found the signature of another one"):
        read(path)


@pytest.mark.parametrize("read", [open_package, read_seal])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x30\x44", b'{"schema": 2}', b'{"schema": 1, "algorithm": "none"}'])
def test_a_signature_that_is_none_is_refused(content, read, exported, tmp_path):
    with pytest.raises(PackageError, match=r"signature\.json"):
        read(with_signature(exported.package, tmp_path / "p.scnas", content))


@pytest.mark.parametrize("odd", ["patch", "channels", "classes", "nothing"])
def test_a_canary_of_another_shape_than_the_plans_is_refused(odd, exported, tmp_path):
    """Only an engine that has answered a canary of the plan's shape is known to fit the plan."""
    size = (16, 16, 16) if odd == "patch" else (24, 24, 24)
    batch = 0 if odd == "nothing" else 1
    content = npz(
        patches=np.zeros((batch, 2 if odd == "channels" else 1, *size), np.float32),
        logits=np.zeros((batch, 4 if odd == "classes" else 3, *size), np.float32),
        classes=np.zeros(size, np.uint8),
    )
    with pytest.raises(PackageError, match="canary"):
        open_package(rewrite(exported.package, tmp_path / "p.scnas", members={CANARY: content}))


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_a_network_that_the_manifest_has_not_proven_is_refused(precision, in_all_precisions, tmp_path):
    artefacts = json.loads(read_members(in_all_precisions.package)[MANIFEST])["artefacts"]
    kept = [artefact for artefact in artefacts if artefact["precision"] != precision]
    path = rewrite(in_all_precisions.package, tmp_path / "p.scnas", manifest={"artefacts": kept})
    with pytest.raises(PackageError, match=rf"expected the networks .*{MODELS[precision]}.* in the manifest, found"):
        open_package(path)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_a_proven_network_that_is_not_there_is_refused(precision, in_all_precisions, tmp_path):
    path = rewrite(in_all_precisions.package, tmp_path / "p.scnas", without=[MODELS[precision]])
    with pytest.raises(PackageError, match=rf"in the manifest, found .*{MODELS[precision]}"):
        open_package(path)


def test_the_proof_of_another_precision_or_file_is_none(in_all_precisions, tmp_path):
    artefacts = json.loads(read_members(in_all_precisions.package)[MANIFEST])["artefacts"]
    exchanged = [
        {**artefact, "file": other["file"]} for artefact, other in zip(artefacts, artefacts[::-1], strict=True)
    ]
    for wrong in (exchanged, [*artefacts, artefacts[1]]):
        with pytest.raises(PackageError, match="in the manifest, found"):
            open_package(rewrite(in_all_precisions.package, tmp_path / "p.scnas", manifest={"artefacts": wrong}))


@pytest.mark.parametrize("value", [3, 255])
def test_a_canary_of_a_class_that_the_plan_lacks_is_refused(value, exported, tmp_path):
    canary = open_package(exported.package).canary
    classes = canary.classes_XYZ.copy()
    classes[0, 0, 0] = value
    content = npz(patches=canary.patches_BCXYZ, logits=canary.logits_BKXYZ, classes=classes)
    with pytest.raises(PackageError, match=rf"of 3 classes, found 0 to {value}"):
        open_package(rewrite(exported.package, tmp_path / "p.scnas", members={CANARY: content}))
