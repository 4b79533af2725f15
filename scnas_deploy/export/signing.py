"""Signing a package: one more member, everything else as it was."""

import zipfile
from pathlib import Path

from scnas_deploy.documents import to_json
from scnas_deploy.files import atomic_path
from scnas_deploy.inference.package import SIGNATURE, open_package
from scnas_deploy.inference.signature import PrivateKey, Signature


def sign_package(source: Path, key: PrivateKey, target: Path) -> Signature:
    """Sign a package that is whole; a signature that it has is replaced.

    Args:
        source: The package.
        key: Whom it is to be from.
        target: Where the signed package goes, whole or not at all; may be the source.

    Raises:
        PackageError: If the package must not be trusted.
        OutputError: If the target cannot be written.
    """
    signature = key.sign(open_package(source).seal.manifest)
    with atomic_path(target) as temporary, zipfile.ZipFile(source) as old, zipfile.ZipFile(temporary, "w") as new:
        for info in old.infolist():
            if info.filename != SIGNATURE:
                new.writestr(info, old.read(info))
        new.writestr(zipfile.ZipInfo(SIGNATURE), to_json(signature))  # dated 1980: the same each time
    return signature
