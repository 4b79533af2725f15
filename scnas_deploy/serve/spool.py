"""The spool: a folder of arrived objects, uploads and results, shared by all servers of one ledger.

```
incoming/STUDY/OBJECT.CONTENT.dcm    objects of a study; both names are digests, so no name of theirs reaches the disk
uploads/TICKET/0000.nii.gz, ...      what a gRPC client has sent
results/JOB/seg.dcm, sr.dcm, ...     proven results, by the digest of the job's key
models/DIGEST.scnas                  packages by content: a job keeps its model when another one is installed
```

Whatever lies under its final name is whole and on the disk: it was written beside, synced, renamed, and its folder
synced. What killed writers leave begins with ``.scnas-`` and is removed when it is old.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from scnas_deploy.errors import FormatError, InputError
from scnas_deploy.files import LEFTOVER, atomic_path, make_folder, remove_leftovers, sha256_of, sync, translating

INCOMING: Final = "incoming"
UPLOADS: Final = "uploads"
RESULTS: Final = "results"
MODELS: Final = "models"
_FOLDERS: Final = (INCOMING, UPLOADS, RESULTS, MODELS)


class Spool:
    """The folder and the names in it.

    Args:
        root: Made where there is none.

    Raises:
        OutputError: If it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in _FOLDERS:
            make_folder(root / name)

    def store_object(self, study: str, sop_instance: str, content: bytes) -> str:
        """Keep a DICOM object that has arrived; when this returns it is on the disk.

        Args:
            study: Key of the study.
            sop_instance: SOP instance UID.
            content: The whole file.

        Returns:
            Its name in the study's folder. The same content has the same name and is kept once.

        Raises:
            OutputError: If it cannot be written; nothing is left of it then.
            InputError: If the spool has gone away.
        """
        self.require_there()
        folder = self.incoming(study)
        name = f"{self.object_prefix(sop_instance)}.{sha256_of(content)[:32]}.dcm"
        with translating(folder):
            folder.mkdir(exist_ok=True)  # and none above it, which would lie beside a share that has gone away
        with atomic_path(folder / name) as temporary:  # again even where it is there: it is the latest now
            temporary.write_bytes(content)
        sync(folder.parent)
        return name

    def require_there(self) -> None:
        """Refuse to go on where the folder has gone away, as with a share: nothing that lies there can be seen.

        Raises:
            InputError: If it has.
        """
        if not (self.root / INCOMING).is_dir():
            raise InputError(
                "the spool",
                expected="its folders, as when the server started",
                found="none of them",
                remedy="Mount it again; the server goes on by itself then",
            )

    @staticmethod
    def object_prefix(sop_instance: str) -> str:
        """Return what the names of all versions of an object begin with, up to the first dot."""
        return sha256_of(sop_instance.encode())[:32]

    def objects(self, study: str) -> list[str]:
        """Return the names of a study's objects, sorted; of one that came in several versions, the latest alone."""
        latest: dict[str, tuple[int, str]] = {}
        for entry in _entries(self.incoming(study)):
            sop, _, _ = entry.name.partition(".")
            latest[sop] = max(latest.get(sop, (0, "")), (entry.stat().st_mtime_ns, entry.name))
        return sorted(name for _, name in latest.values())

    def incoming(self, study: str) -> Path:
        """Folder of a study's objects."""
        return self.root / INCOMING / _plain(study)

    def upload(self, ticket: str) -> Path:
        """Folder of what a client sends."""
        return self.root / UPLOADS / _plain(ticket)

    def result(self, key: str) -> Path:
        """Folder of a job's result."""
        return self.root / RESULTS / _plain(key)

    def model(self, digest: str) -> Path:
        """File of a model package."""
        return self.root / MODELS / f"{_plain(digest)}.scnas"

    def path(self, relative: str) -> Path:
        """Return a path in the spool as a job names it.

        Raises:
            FormatError: If it leads out of the spool.
        """
        path = self.root / relative
        if ".." in Path(relative).parts or not path.is_relative_to(self.root):
            raise FormatError(
                "the spool", expected="a path inside it", found="one that leads out of it", remedy="Submit it again"
            )
        return path

    def relative(self, path: Path) -> str:
        """Return how a job names a path in the spool."""
        return path.relative_to(self.root).as_posix()

    def free_bytes(self) -> int:
        """Return how much more fits on the disk."""
        return shutil.disk_usage(self.root).free

    def bury(self, study: str) -> Path | None:
        """Take a study's folder away in one step, so that an object that comes meanwhile is not removed with it.

        Returns:
            Where it lies now, to be removed; None where there was none.
        """
        folder = self.incoming(study)
        grave = folder.with_name(f"{LEFTOVER}{folder.name}-{uuid4().hex}")
        try:
            folder.rename(grave)
        except FileNotFoundError:
            return None
        return grave

    def studies(self) -> Iterator[Path]:
        """Folders of studies."""
        yield from (each for each in (self.root / INCOMING).iterdir() if each.name[0] != ".")

    def remove(self, path: Path) -> None:
        """Remove a folder or file of the spool; one that is gone already is no error."""
        self.path(self.relative(path))
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def remove_leftovers(self, *, age_s: float) -> None:
        """Remove what killed writers have left, once it is so old."""
        for folder in self._all_folders():
            remove_leftovers(folder, age_s=age_s)

    def _all_folders(self) -> Iterator[Path]:
        for name in _FOLDERS:
            yield self.root / name
            yield from (each for each in (self.root / name).iterdir() if each.is_dir() and each.name[0] != ".")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    if folder.is_dir():
        yield from (each for each in os.scandir(folder) if each.name.endswith(".dcm") and each.name[0] != ".")


def _plain(name: str) -> str:
    """Refuse a name that is more than one."""
    if not name or not name.replace("-", "").isalnum() or not name.isascii():
        raise FormatError(
            "an identifier", expected="letters, digits and hyphens", found="something else", remedy="Correct it"
        )
    return name
