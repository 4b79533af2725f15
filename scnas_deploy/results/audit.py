"""The audit trail: who segmented what, when, with which model. UIDs only; nothing that names a patient."""

import fcntl
import getpass
import json
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scnas_deploy.files import check_writable, translating
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results.algorithm import software

_LOCK: Final = threading.Lock()
"""One line at a time in this process: the lock on the file keeps other processes out, and no threads."""


def check_audit(path: Path | None) -> None:
    """Refuse early a file that no line could be added to.

    Raises:
        OutputError: If its folder is missing or it cannot be written.
    """
    if path is not None:
        check_writable(path)


def append_audit(path: Path, result: Segmentation, forms: Sequence[str], *, by: str = "") -> None:
    """Add a line of JSON to a file, and have it on the disk before going on.

    The file is locked meanwhile: on a share, whole lines of several machines would overwrite one another.

    Args:
        path: The file.
        result: What was found.
        forms: What is handed out.
        by: On whose behalf: an AE title, or the name of a token or certificate.

    Raises:
        OutputError: If it cannot be written.
    """
    line = json.dumps(_entry(result, forms, by)) + "\n"
    with _LOCK, translating(path), path.open("a", encoding="utf-8") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)  # until the file is closed
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _entry(result: Segmentation, forms: Sequence[str], by: str) -> dict[str, object]:
    origin = result.study.dicom
    origins = (origin, *origin.further) if origin else ()
    instances = {plane.instance.uid: plane.instance for each in origins for plane in each.planes}
    return {
        "when": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": _user(),
        **({"on_behalf_of": by} if by else {}),
        "software": software(),
        "model": result.model_name,
        "model_digest": result.model_digest,
        "engine": result.engine,
        "study_uids": sorted({each.study_uid for each in instances.values()}),
        "series_uids": sorted({each.series_uid for each in instances.values()}),
        "instance_uids": sorted(instances),
        "corrections": list(origin.all_corrections) if origin else [],
        "outside_limits": list(result.outside_limits),
        "forms": list(forms),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return str(os.getuid())
