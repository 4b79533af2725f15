"""What no sender in its right mind sends, five hundred times."""

import io
import logging
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pydicom
import pytest
from pynetdicom import AE

from scnas_deploy.serve.dicom.objects import IMAGE_CLASSES, identify_file, is_uid
from tests.dicom_drawing import Drawing, Grid
from tests.serve.dicom.dcmtk import run
from tests.serve.dicom.test_node import CT, RecordingInbox

Pdus = list[bytes]
PLANTED = "PLANTEDNAME"


class Recorder:
    """Stands between a sender and our node, and keeps what the sender says."""

    def __init__(self, port: int) -> None:
        self._target, self.said = port, bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._relay)
        self._thread.start()

    def pdus(self) -> Pdus:
        """What was said, in its parts."""
        self._thread.join()
        self._listener.close()
        said, pdus = bytes(self.said), []
        while said:
            (length,) = struct.unpack(">L", said[2:6])
            pdus.append(said[: 6 + length])
            said = said[6 + length :]
        return pdus

    def _relay(self) -> None:
        client, _ = self._listener.accept()
        with client, socket.create_connection(("127.0.0.1", self._target)) as node:
            back = threading.Thread(target=self._pass_on, args=(node, client))
            back.start()
            self._pass_on(client, node, self.said)
            back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket, record: bytearray | None = None) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if record is not None:
                    record += piece
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


def _session(port: int) -> Pdus:
    """An association in which one object is stored, as a sender says it: request, command, data, release."""
    recorder = Recorder(port)
    application = AE(ae_title="SENDER")
    application.add_requested_context(CT)
    association = application.associate("127.0.0.1", recorder.port, ae_title="SCNAS")
    dataset = Drawing(grid=Grid(shape=(8, 8, 2)), patient=PLANTED).plane(0)
    assert association.send_c_store(dataset).Status == 0x0000
    association.release()
    return recorder.pdus()


def _flipped(random_: random.Random, pdu: bytes, *, first: int) -> bytes:
    changed = bytearray(pdu)
    for _ in range(random_.randint(1, 12)):
        changed[random_.randrange(first, len(changed))] = random_.randrange(256)
    return bytes(changed)


def _noise(random_: random.Random, pdus: Pdus) -> Pdus:
    return [random_.randbytes(random_.randint(1, 4000))]


def _other_request(random_: random.Random, pdus: Pdus) -> Pdus:
    return [_flipped(random_, pdus[0], first=6), *pdus[1:]]


def _cut_off(random_: random.Random, pdus: Pdus) -> Pdus:
    number = random_.randrange(len(pdus))
    return [*pdus[:number], pdus[number][: random_.randrange(1, len(pdus[number]))]]


def _other_length(random_: random.Random, pdus: Pdus) -> Pdus:
    number = random_.randrange(len(pdus))
    length = random_.choice([0, 1, 5, len(pdus[number]), 70_000, 2_000_000, 0xFFFFFFFF])
    changed = pdus[number][:2] + struct.pack(">L", length) + pdus[number][6:]
    return [*pdus[:number], changed, *pdus[number + 1 :]]


def _other_command(random_: random.Random, pdus: Pdus) -> Pdus:
    return [pdus[0], _flipped(random_, pdus[1], first=6), *pdus[2:]]


def _other_data(random_: random.Random, pdus: Pdus) -> Pdus:
    return [*pdus[:2], _flipped(random_, pdus[2], first=12), *pdus[3:]]


def _other_order(random_: random.Random, pdus: Pdus) -> Pdus:
    shuffled = [random_.choice(pdus) for _ in range(random_.randint(1, 8))]
    return [pdus[0], *shuffled]


def _many_at_once(random_: random.Random, pdus: Pdus) -> Pdus:
    return [pdus[0], b"".join(pdus[1:3] * 20)]


WAYS: tuple[Callable[[random.Random, Pdus], Pdus], ...] = (
    _noise,
    _other_request,
    _cut_off,
    _other_length,
    _other_command,
    _other_data,
    _other_data,
    _other_order,
    _many_at_once,
)


def _say(port: int, pdus: Pdus) -> None:
    """Say these one after another, waiting a moment for an answer to each, and hang up."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.settimeout(0.05)
        for pdu in pdus:
            connection.sendall(pdu)
            with suppress(TimeoutError):
                connection.recv(65536)


def _threads() -> int:
    return sum("Acceptor" in each.name or type(each).__name__ == "DULServiceProvider" for each in threading.enumerate())


@pytest.mark.soak
def test_no_sender_does_harm(start_node, caplog):
    caplog.set_level(logging.DEBUG)
    recording = RecordingInbox()
    node = start_node(takes=recording, max_object_bytes=100_000)
    pdus = _session(node.port)
    assert [pdu[0] for pdu in pdus] == [1, 4, 4, 5]
    before = _threads()
    for seed in range(500):
        random_ = random.Random(seed)
        _say(node.port, random_.choice(WAYS)(random_, pdus))
    assert run("echoscu", "-aet", "SENDER", "-aec", "SCNAS", "127.0.0.1", node.port).returncode == 0
    _require_sound(recording)
    deadline = time.monotonic() + 60
    while _threads() > before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _threads() <= before
    said = "\n".join(str(vars(record)) for record in caplog.records)
    assert PLANTED not in said
    assert "19700101" not in said
    assert {record.name.partition(".")[0] for record in caplog.records} == {"scnas_deploy"}


def _require_sound(recording: RecordingInbox) -> None:
    """Some objects were changed only where nobody can tell, as in their pixels; they are what they say they are."""
    assert len(recording.arrivals) > 1
    for arrival in recording.arrivals:
        assert is_uid(arrival.study_uid)
        assert (arrival.called_ae_title, arrival.calling_ae_title) == ("SCNAS", "SENDER")
        identity = identify_file(arrival.content)
        assert (identity.study_uid, identity.sop_instance_uid) == (arrival.study_uid, arrival.sop_instance_uid)
        assert identity.sop_class in IMAGE_CLASSES
        pydicom.dcmread(io.BytesIO(arrival.content), stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
