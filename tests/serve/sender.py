"""A modality that sends studies by C-STORE, and sends again what was not taken."""

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pydicom
from pynetdicom import AE

from tests.serve.studies import crop_objects

_SUCCESS = 0x0000


class NotTakenError(Exception):
    """An object was not taken."""


def send_study(
    port: int,
    objects: Iterable[pydicom.Dataset],
    *,
    called: str = "SCNAS",
    calling: str = "SENDER",
    accepted: bool = True,
    patience_s: float = 0.0,
) -> None:
    """Send objects.

    Args:
        port: Of the node, on this machine.
        objects: The study.
        called: Its AE title.
        calling: Ours.
        accepted: Whether the association is to be accepted.
        patience_s: Seconds for which what is not taken is sent again.
    """
    left, deadline = list(objects), time.monotonic() + patience_s
    while True:
        left = _send(port, left, called, calling, accepted=accepted)
        if not left or not accepted:
            return
        if time.monotonic() > deadline:
            raise NotTakenError(f"{len(left)} objects")
        time.sleep(0.2)


def _send(
    port: int, objects: list[pydicom.Dataset], called: str, calling: str, *, accepted: bool
) -> list[pydicom.Dataset]:
    """Returns those that were not taken."""
    entity = AE(ae_title=calling)
    for syntax in {each.file_meta.TransferSyntaxUID for each in objects}:
        entity.add_requested_context(objects[0].SOPClassUID, syntax)
    association = entity.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        assert not accepted or objects
        return objects
    assert accepted, "it was let in"
    left = []
    for number, dataset in enumerate(objects):
        if not association.is_established:
            left += objects[number:]
            break
        if _status(association, dataset) != _SUCCESS:
            left.append(dataset)
    if association.is_established:
        association.release()
    return left


def _status(association, dataset) -> int | None:
    try:
        return association.send_c_store(dataset).get("Status")
    except (RuntimeError, ConnectionError):  # the server has gone
        return None


def start_sending(ports: Sequence[int], numbers: range, scnas_data: Path, patience_s: float) -> subprocess.Popen:
    """Send studies in a process of its own, each to one of the ports, in turns.

    Of its own, since the library leaves sockets of refused connections to the garbage collector.
    """
    words = [patience_s, scnas_data, numbers.start, numbers.stop, *ports]
    return subprocess.Popen([sys.executable, "-m", __name__, *map(str, words)], stderr=subprocess.DEVNULL)


def main() -> None:
    patience_s, scnas_data, start, stop, *ports = sys.argv[1:]
    for number in range(int(start), int(stop)):
        port = int(ports[number % len(ports)])
        send_study(port, crop_objects(Path(scnas_data), number), patience_s=float(patience_s))


if __name__ == "__main__":
    main()
