"""Reading a model package (.scnas), trusting nothing in it.

A package is one zip file with a flat list of known members. Every member is checked against the digest in
manifest.json; unknown versions, unlisted members, paths, and members that unpack to far more than they
weigh are refused. The one member that no digest covers is the signature over the manifest.
"""

import lzma
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path

import numpy as np

from scnas_deploy.data.plan import Plan
from scnas_deploy.documents import Document, parse_document
from scnas_deploy.errors import FormatError, PackageError
from scnas_deploy.files import sha256_of
from scnas_deploy.inference.manifest import Artefact, Manifest, Precision
from scnas_deploy.inference.signature import Seal, Signature
from scnas_deploy.networks.genotype import Genotype
from scnas_deploy.types import LabelsXYZ, LogitsBKXYZ, PatchesBCXYZ

SUFFIX = ".scnas"
MANIFEST, PLAN, GENOTYPE, CANARY = "manifest.json", "plan.json", "genotype.json", "canary.npz"
SIGNATURE = "signature.json"
MODEL, WEIGHTS = "model.onnx", "weights.safetensors"
MODELS: dict[Precision, str] = {"float32": MODEL, "float16": "model.fp16.onnx", "int8": "model.int8.onnx"}
"""The member of each precision; float32 is in every package."""
REQUIRED = (MANIFEST, PLAN, GENOTYPE, MODEL, CANARY)

_MAX_BYTES = 4 * 1024**3
_MAX_MEMBERS = 32
_MAX_RATIO = 200
_HEADERS_BYTES = 4096
"""More than the headers of a canary's three arrays take."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MADE_BY = "scnas export"
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    UnicodeDecodeError,
)
"""What reading a damaged zip file raises."""


@dataclass(frozen=True, eq=False, slots=True)
class Canary:
    """A synthetic patch, and what the network must answer to it. Never patient data."""

    patches_BCXYZ: PatchesBCXYZ
    logits_BKXYZ: LogitsBKXYZ
    classes_XYZ: LabelsXYZ


@dataclass(frozen=True, eq=False, slots=True)
class ModelPackage:
    """A package whose every member has been verified."""

    path: Path
    seal: Seal
    """The manifest as it was written, and the signature over it, which is not judged here: see ``trust.py``."""
    manifest: Manifest
    plan: Plan
    """With the manifest's effective patch size."""
    genotype: Genotype
    models: dict[Precision, bytes]
    """The ONNX file of each precision that was exported and proven."""
    canary: Canary

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which holds the digests of all other members: it names the model."""
        return sha256_of(self.seal.manifest)

    @property
    def model(self) -> bytes:
        """The ONNX file in float32."""
        return self.models["float32"]

    def artefact(self, precision: Precision) -> Artefact:
        """What the manifest says of the network in a precision that the package has."""
        return next(artefact for artefact in self.manifest.artefacts if artefact.precision == precision)


def open_package(path: Path) -> ModelPackage:
    """Read and verify a model package.

    Raises:
        PackageError: If it must not be trusted; the message says why.
        FormatError: If the file is missing.
    """
    if not path.is_file():
        raise FormatError(
            path,
            expected=f"a model package ({SUFFIX})",
            found="no such file",
            remedy="Check the path, or see `scnas models`",
        )
    members = _read_members(path)
    manifest = _document(path, members, MANIFEST, Manifest)
    _verify_digests(path, members, manifest)
    plan = _document(path, members, PLAN, Plan).model_copy(update={"patch_size": manifest.patch_size})
    genotype = _document(path, members, GENOTYPE, Genotype)
    if genotype.architecture.structure_hash != manifest.structure_hash:
        raise _refuse(path, "the genotype named in the manifest", "another genotype")
    canary = _canary(path, members[CANARY], plan)
    models = _models(path, members, manifest)
    return ModelPackage(path, _seal(path, members), manifest, plan, genotype, models, canary)


def read_seal(path: Path) -> Seal:
    """Read only what says whom a package comes from; its other members stay unread and unverified.

    Raises:
        PackageError: If the file is no package, or its signature is not one of its manifest.
    """
    return _seal(path, _read_members(path, only=(MANIFEST, SIGNATURE)))


def _seal(path: Path, members: dict[str, bytes]) -> Seal:
    content = members[MANIFEST]
    if SIGNATURE not in members:
        return Seal(content, None)
    signature = _document(path, members, SIGNATURE, Signature)
    if signature.manifest != sha256_of(content):
        raise _refuse(path, "a signature of this package", "the signature of another one")
    return Seal(content, signature)


def _read_members(path: Path, only: Sequence[str] = ()) -> dict[str, bytes]:
    """Read all members, or only those named that are there."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_directory(path, members)
            wanted = [info for info in members if not only or info.filename in only]
            return {info.filename: _read_bounded(path, archive, info) for info in wanted}
    except _DAMAGE as error:
        raise _refuse(path, "an undamaged zip file", f"{type(error).__name__}: {error}") from error


def _check_directory(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [info.filename for info in members]
    bad = next((name for name in names if not _NAME.fullmatch(name)), None)
    if bad is not None:
        raise _refuse(path, "members without folders", f"the member {bad!r}")
    if len(set(names)) != len(names) or len(names) > _MAX_MEMBERS:
        raise _refuse(path, f"at most {_MAX_MEMBERS} members, each once", f"{len(names)} members")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise _refuse(path, f"the members {', '.join(REQUIRED)}", f"no {', '.join(missing)}")
    if sum(info.compress_size for info in members) > path.stat().st_size:
        raise _refuse(path, "members that lie side by side", "some that share bytes")
    total = sum(info.file_size for info in members)
    if total > _MAX_BYTES:
        raise _refuse(path, f"at most {_MAX_BYTES >> 30} GiB unpacked", f"{total / 1024**3:.1f} GiB")
    for info in members:
        if info.file_size > _MAX_RATIO * max(info.compress_size, 1024):
            raise _refuse(
                path, "members of plausible compression", f"{info.filename} that grows to {info.file_size} bytes"
            )


def _read_bounded(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read a member, never more than its directory entry announces."""
    try:
        with archive.open(info) as stream:
            data = stream.read(info.file_size + 1)
    except _DAMAGE as error:
        raise _refuse(path, f"an undamaged {info.filename}", f"{type(error).__name__}: {error}") from error
    if len(data) != info.file_size:
        raise _refuse(path, f"{info.file_size} bytes in {info.filename}", "another size")
    return data


def _verify_digests(path: Path, members: dict[str, bytes], manifest: Manifest) -> None:
    if set(manifest.digests) != set(members) - {MANIFEST, SIGNATURE}:
        raise _refuse(path, "exactly the members listed in the manifest", ", ".join(sorted(members)))
    for name, digest in manifest.digests.items():
        if sha256_of(members[name]) != digest:
            raise _refuse(path, f"the digest of {name} given in the manifest", "another: the member was changed")


def _models(path: Path, members: dict[str, bytes], manifest: Manifest) -> dict[Precision, bytes]:
    """The networks of the package: exactly those whose proof stands in the manifest."""
    proven = {artefact.precision: artefact.file for artefact in manifest.artefacts}
    there = {precision: name for precision, name in MODELS.items() if name in members}
    if proven != there or len(proven) != len(manifest.artefacts):
        raise _refuse(path, f"the networks {', '.join(there.values())} in the manifest", ", ".join(proven.values()))
    return {precision: members[name] for precision, name in there.items()}


def _document(path: Path, members: dict[str, bytes], name: str, kind: type[Document]) -> Document:
    try:
        return parse_document(f"{path}, {name}", members[name], kind, made_by=_MADE_BY)
    except FormatError as error:
        raise PackageError(error.subject, expected=error.expected, found=error.found, remedy=error.remedy) from error


def _canary(path: Path, data: bytes, plan: Plan) -> Canary:
    size = plan.patch_size
    shapes = [(1, len(plan.channels), *size), (1, plan.num_classes, *size), size]
    expected = f"a canary with patches, logits and classes of the shapes {', '.join(map(str, shapes))}"
    try:
        _check_nested(data, 8 * sum(map(prod, shapes)) + _HEADERS_BYTES)
        stored = np.load(BytesIO(data), allow_pickle=False)
        arrays = [np.asarray(stored[name]) for name in ("patches", "logits", "classes")]
    except Exception as error:  # of the zip file, of numpy, and of Python's tokenizer, which reads an array's header
        raise _refuse(path, expected, str(error)) from error
    found = [f"{array.dtype} {array.shape}" for array in arrays]
    kinds = [array.dtype == np.float32 for array in arrays[:2]] + [arrays[2].dtype.kind in "iu"]
    if [array.shape for array in arrays] != shapes or not all(kinds):
        raise _refuse(path, expected, ", ".join(found))
    if arrays[2].min() < 0 or arrays[2].max() >= plan.num_classes:
        raise _refuse(path, f"{expected}, of {plan.num_classes} classes", f"{arrays[2].min()} to {arrays[2].max()}")
    return Canary(*arrays)


def _check_nested(data: bytes, most_bytes: int) -> None:
    """Refuse arrays that unpack to more than the canary's: an .npz file is a zip file of its own."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > most_bytes:
        raise ValueError(f"arrays that grow to {unpacked} bytes")


def _refuse(path: Path, expected: str, found: str) -> PackageError:
    return PackageError(
        path, expected=expected, found=found, remedy="Do not use it; copy it again or export it again with scnas export"
    )
