import errno
import gc
import io
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import pydicom
import pytest
from pynetdicom import AE

from scnas_deploy.errors import ConfigError, InputError, LedgerError, OutputError, SpoolFullError
from scnas_deploy.serve.arrivals import study_key
from scnas_deploy.serve.dicom.buffers import BoundedBuffer
from scnas_deploy.serve.dicom.node import DicomNode
from scnas_deploy.serve.inbox import Arrival
from scnas_deploy.serve.settings import DicomSettings, Peer, Tls
from scnas_deploy.serve.spool import Spool
from tests.dicom_drawing import Drawing
from tests.serve.dicom.certificates import Certificates
from tests.serve.dicom.conftest import PEERS
from tests.serve.dicom.dcmtk import run, send
from tests.serve.studies import encoded

SERIES = "dicom/head_mr_4series/11_HCropVolume"
SYNTAXES = "dicom/mr_transfer_syntaxes/In"
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


class RecordingInbox:
    """Stands in for the inbox: keeps what comes in memory, or fails as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.arrivals = error, []

    def receive(self, arrival: Arrival) -> None:
        if self.error is not None:
            raise self.error
        self.arrivals.append(arrival)


def _associate(port, *classes, calling="SENDER", called="SCNAS"):
    application = AE(ae_title=calling)
    for sop_class in classes or (CT,):
        application.add_requested_context(sop_class)
    return application.associate("127.0.0.1", port, ae_title=called)


def _status(port, dataset) -> int:
    association = _associate(port, dataset.SOPClassUID)
    try:
        return association.send_c_store(dataset).Status
    finally:
        association.release()


def _kept(spool: Spool, study: str) -> dict[str, pydicom.FileDataset]:
    key = study_key(study, "SCNAS")
    kept = [pydicom.dcmread(spool.incoming(key) / name) for name in spool.objects(key)]
    return {each.SOPInstanceUID: each for each in kept}


def test_a_series_of_a_foreign_sender_is_received_as_it_is(node, inbox, spool, scnas_data):
    paths = sorted((scnas_data / SERIES).iterdir())
    assert send(node.port, paths) == len(paths)
    sent = {each.SOPInstanceUID: each for each in map(pydicom.dcmread, paths)}
    study = next(iter(sent.values())).StudyInstanceUID
    assert inbox.known(study, "SCNAS") == len(paths)
    assert _kept(spool, study) == sent


def test_each_transfer_syntax_arrives_as_it_was_sent(node, spool, scnas_data):
    paths = sorted((scnas_data / SYNTAXES).iterdir())
    sent = {each.SOPInstanceUID: each for each in map(pydicom.dcmread, paths)}
    application = AE(ae_title="SENDER")
    for syntax in {each.file_meta.TransferSyntaxUID for each in sent.values()}:
        application.add_requested_context(MR, syntax)
    association = application.associate("127.0.0.1", node.port, ae_title="SCNAS")
    assert {association.send_c_store(path).Status for path in paths} == {0x0000}
    association.release()
    kept = _kept(spool, next(iter(sent.values())).StudyInstanceUID)
    assert len(kept) == len(paths)
    for uid, each in kept.items():
        assert each.file_meta.TransferSyntaxUID == sent[uid].file_meta.TransferSyntaxUID
        assert each.PixelData == sent[uid].PixelData


def test_a_deflated_series_is_received(node, inbox, tmp_path):
    folder = Drawing().save(tmp_path)
    sent = run("storescu", "-xd", "+sd", "-aet", "SENDER", "-aec", "SCNAS", "127.0.0.1", node.port, folder)
    assert sent.returncode == 0, sent.stdout
    assert inbox.known(Drawing().plane(0).StudyInstanceUID, "SCNAS") == Drawing().grid.shape[2]


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "enhanced MR"])
def test_images_of_each_modality_are_taken(node, inbox, modality):
    drawing = Drawing(modality=modality)
    dataset = drawing.enhanced() if modality == "enhanced MR" else drawing.plane(0)
    assert _status(node.port, dataset) == 0x0000
    assert inbox.known(dataset.StudyInstanceUID, "SCNAS") == 1


def test_the_titles_of_both_sides_are_kept(start_node):
    recording = RecordingInbox()
    node = start_node(frozenset({"SCNAS", "LIVER"}), recording)
    dataset = Drawing().plane(0)
    association = _associate(node.port, called="LIVER")
    assert association.send_c_store(dataset).Status == 0x0000
    association.release()
    (arrival,) = recording.arrivals
    assert (arrival.called_ae_title, arrival.calling_ae_title) == ("LIVER", "SENDER")
    assert (arrival.study_uid, arrival.sop_instance_uid) == (dataset.StudyInstanceUID, dataset.SOPInstanceUID)
    assert pydicom.dcmread(io.BytesIO(arrival.content)) == dataset


def test_an_echo_is_answered(node):
    assert run("echoscu", "-aet", "SENDER", "-aec", "SCNAS", "127.0.0.1", node.port).returncode == 0


@pytest.mark.parametrize(
    ("titles", "reason"),
    [
        ({"called": "OTHER"}, "Called AE Title Not Recognized"),
        ({"calling": "OTHER"}, "Calling AE Title Not Recognized"),
    ],
)
def test_unknown_titles_are_refused_and_not_repeated_in_the_log(node, caplog, titles, reason):
    words = {"calling": "SENDER", "called": "SCNAS"} | titles
    asked = run("echoscu", "-aet", words["calling"], "-aec", words["called"], "127.0.0.1", node.port)
    assert asked.returncode
    assert reason in asked.stdout
    (record,) = caplog.records
    assert record.getMessage() == "refused an association"
    (word,) = titles
    assert record.scnas == {"reason": f"{word} AE title", "remote": "127.0.0.1", "error": ""}
    assert "OTHER" not in str(vars(record))


def test_nobody_comes_in_while_it_cannot_be_told_who_may(inbox, start_node, caplog):
    node = start_node()
    node._called_ae_titles = lambda: 1 / 0
    asked = run("echoscu", "-aet", "SENDER", "-aec", "SCNAS", "127.0.0.1", node.port)
    assert asked.returncode
    assert "Rejected Transient" in asked.stdout
    assert "ZeroDivisionError" in caplog.records[0].scnas["error"]


@pytest.mark.parametrize("peers", [(), (Peer(ae_title="SENDER", address=ip_network("10.1.0.0/16")),)])
def test_nobody_connects_from_an_address_of_no_peer(start_node, caplog, peers):
    node = start_node(peers=peers)
    assert run("echoscu", "-aet", "SENDER", "-aec", "SCNAS", "127.0.0.1", node.port).returncode
    (record,) = caplog.records
    assert record.getMessage() == "refused a connection"
    assert record.scnas == {"reason": "address", "remote": "127.0.0.1"}


def test_a_title_counts_only_together_with_its_address(start_node):
    peers = (*PEERS, Peer(ae_title="DISTANT", address=ip_network("10.1.0.0/16")))
    node = start_node(peers=peers)
    assert run("echoscu", "-aet", "DISTANT", "-aec", "SCNAS", "127.0.0.1", node.port).returncode
    assert run("echoscu", "-aet", "SENDER", "-aec", "SCNAS", "127.0.0.1", node.port).returncode == 0


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.66.7",
        "1.2.840.10008.5.1.4.1.1.88.33",
        "1.2.840.10008.5.1.4.1.1.88.34",
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.481.3",
    ],
)
def test_nothing_like_our_results_is_negotiated(node, sop_class):
    association = _associate(node.port, CT, sop_class)
    assert [each.abstract_syntax for each in association.accepted_contexts] == [CT]
    association.release()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SpoolFullError("the spool", expected="space", found="none", remedy="Wait"), 0xA700),
        (OutputError("the spool", expected="a disk", found="none", remedy="Look"), 0xA700),
        (LedgerError("the ledger", expected="an answer", found="none", remedy="Wait"), 0xA700),
        (InputError("the spool", expected="a share", found="none", remedy="Mount it"), 0xA700),
        (OSError(errno.ESTALE, "NOBODY^Drawn"), 0xA700),
        (OSError(errno.EMFILE, "NOBODY^Drawn"), 0xA700),
        (MemoryError("NOBODY^Drawn"), 0xA700),
        (RuntimeError("NOBODY^Drawn"), 0xC001),
    ],
)
def test_a_sender_keeps_what_could_not_be_kept(start_node, caplog, error, status):
    node = start_node(takes=RecordingInbox(error))
    assert _status(node.port, Drawing().plane(0)) == status
    (record,) = caplog.records
    assert record.scnas["status"] == f"{status:04X}"
    assert "NOBODY" not in str(vars(record))


def test_refusals_are_counted_by_their_reasons(inbox):
    counted = []
    peers = (Peer(ae_title="SENDER", address=ip_network("127.0.0.1")),)
    settings = DicomSettings(host="127.0.0.1", port=0, peers=peers, max_object_bytes=200)
    node = DicomNode(settings, lambda: frozenset({"SCNAS"}), inbox, refused=counted.append)
    node.start()
    try:
        run("echoscu", "-aet", "OTHER", "-aec", "SCNAS", "127.0.0.1", node.port)
        run("echoscu", "-aet", "SENDER", "-aec", "OTHER", "127.0.0.1", node.port)
        assert _status(node.port, Drawing().plane(0)) == 0xA700
    finally:
        node.stop(0)
    assert counted == ["calling AE title", "called AE title", "no room"]


def test_a_full_spool_leaves_nothing_behind(start_node, inbox, monkeypatch):
    monkeypatch.setattr(inbox._space, "_min_free_bytes", 1 << 60)
    dataset = Drawing().plane(0)
    assert _status(start_node().port, dataset) == 0xA700
    assert inbox.known(dataset.StudyInstanceUID, "SCNAS") == 0


def test_an_object_beyond_the_limit_is_not_kept_in_memory(start_node):
    recording = RecordingInbox()
    node = start_node(takes=recording, max_object_bytes=1500)
    small, large = Drawing().plane(0), Drawing().plane(1)
    small.PixelData = b"\0" * 16
    large.PixelData = b"\0" * 1600
    association = _associate(node.port)
    statuses = [association.send_c_store(each).Status for each in (small, large, small)]
    association.release()
    assert statuses == [0x0000, 0xA700, 0x0000]
    assert len(recording.arrivals) == 2


class _HoldingInbox:
    """Stands in for one whose disk is slow: keeps senders waiting, and says what memory is taken meanwhile."""

    def __init__(self) -> None:
        self.entered, self.leave, self.held = threading.Semaphore(0), threading.Event(), []
        self._of_other_tests = _buffers()

    def receive(self, arrival: Arrival) -> None:
        known = set(map(id, self._of_other_tests))
        self.held = [len(each.getvalue()) for each in _buffers() if id(each) not in known and not each.closed]
        self.entered.release()
        assert self.leave.wait(30)


def _buffers() -> list[BoundedBuffer]:
    return [each for each in gc.get_objects() if type(each) is BoundedBuffer]


def test_an_object_that_is_being_kept_is_in_memory_once(start_node):
    holding = _HoldingInbox()
    holding.leave.set()
    assert _status(start_node(takes=holding).port, Drawing().plane(0)) == 0x0000
    assert sum(holding.held) == 0


def test_all_senders_together_take_no_more_memory_than_two_objects(start_node, caplog):
    """What waits in the inbox counts too."""
    holding, dataset = _HoldingInbox(), Drawing().plane(0)
    dataset.PixelData = b"\0" * 6000
    node = start_node(takes=holding, max_object_bytes=8000)
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(_status, node.port, dataset) for _ in range(2)]
        for _ in first:
            assert holding.entered.acquire(timeout=30)
        assert _status(node.port, dataset) == 0xA700
        holding.leave.set()
        assert [each.result() for each in first] == [0x0000, 0x0000]
    assert [record.scnas["error"] for record in caplog.records] == ["too much is on its way in together with it"]
    assert _status(node.port, dataset) == 0x0000


def _without(dataset, keyword):
    delattr(dataset, keyword)
    return dataset


def _with(dataset, **values):
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda dataset: _without(dataset, "StudyInstanceUID"), 0xC000),
        (lambda dataset: _with(dataset, StudyInstanceUID="../../etc"), 0xC000),
        (lambda dataset: _with(dataset, StudyInstanceUID="1." * 60 + "1"), 0xC000),
        (lambda dataset: _with(dataset, SOPInstanceUID="1.2.3"), 0xA900),
        (lambda dataset: _with(dataset, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"), 0xA900),
    ],
)
def test_an_object_that_is_not_what_was_announced_is_refused(start_node, tmp_path, change, status):
    recording = RecordingInbox()
    node = start_node(takes=recording)
    path = tmp_path / "changed.dcm"
    path.write_bytes(encoded(Drawing().plane(0)))
    original = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        changed = change(pydicom.dcmread(path))
        changed.save_as(path, enforce_file_format=False)
    changed_meta = pydicom.dcmread(path).file_meta
    assert changed_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID
    association = _associate(node.port)
    assert association.send_c_store(path).Status == status
    association.release()
    assert not recording.arrivals


def test_no_more_associations_than_allowed(start_node):
    node = start_node(max_associations=2)
    first, second = _associate(node.port), _associate(node.port)
    third = _associate(node.port)
    assert first.is_established
    assert second.is_established
    assert third.is_rejected
    for each in (first, second):
        each.release()


def test_several_senders_at_a_time(node, inbox, tmp_path):
    drawings = [Drawing(study=f"study {number}") for number in range(4)]
    paths = [sorted(each.save(tmp_path / each.study).iterdir()) for each in drawings]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda each: send(node.port, each), paths))
    assert taken == [len(each) for each in paths]
    studies = [each.plane(0).StudyInstanceUID for each in drawings]
    assert [inbox.known(study, "SCNAS") for study in studies] == taken


def test_a_port_that_is_taken_is_said_before_it_starts(start_node):
    with pytest.raises(ConfigError, match="expected a port that is free, found Address already in use"):
        start_node(port=start_node().port)


def test_a_connection_that_says_nothing_holds_up_nobody(node, scnas_data):
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(5)]
    cut_off = socket.create_connection(("127.0.0.1", node.port))
    cut_off.sendall(b"\x01\x00\x00\x00\x01\x00half of it")
    assert send(node.port, sorted((scnas_data / SYNTAXES).iterdir())[:1])
    for each in (*silent, cut_off):
        each.close()


def test_a_pdu_of_four_gigabytes_ends_the_connection(node):
    with socket.create_connection(("127.0.0.1", node.port)) as connection:
        connection.sendall(b"\x01\x00\xff\xff\xff\xff" + b"\0" * 64)
        connection.settimeout(10)
        assert connection.recv(1) == b""


def test_stopping_lets_an_association_end(start_node):
    node = start_node()
    association = _associate(node.port)
    stopping = threading.Thread(target=node.stop, args=(30,))
    stopping.start()
    while _connects(node.port):
        time.sleep(0.01)
    assert association.send_c_store(Drawing().plane(0)).Status == 0x0000
    association.release()
    stopping.join(10)
    assert not stopping.is_alive()


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_stopping_breaks_off_after_the_grace_period(start_node):
    node = start_node()
    association = _associate(node.port)
    node.stop(0)
    association.join(10)
    assert not association.is_established
    assert not [each for each in threading.enumerate() if "AcceptorThread" in each.name]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_tls_asks_for_a_certificate_of_ours(start_node, certificates, inbox, tmp_path):
    server, client, stranger = (certificates.make(name) for name in ("server", "client", "stranger"))
    tls = Tls(certificate=server.certificate, key=server.key, client_ca=certificates.ca)
    node = start_node(tls=tls)
    path = Drawing().save(tmp_path) / "0000.dcm"

    def sends(*options: object) -> bool:
        sent = run("storescu", *options, "-aet", "SENDER", "-aec", "SCNAS", "127.0.0.1", node.port, path)
        return sent.returncode == 0

    assert sends("+tls", client.key, client.certificate, "+cf", certificates.ca)
    assert inbox.known(Drawing().plane(0).StudyInstanceUID, "SCNAS") == 1
    assert not sends()
    assert not sends("-tls", "+cf", certificates.ca)
    other = Certificates(tmp_path / "others")
    impostor = other.make("client")
    assert not sends("+tls", impostor.key, impostor.certificate, "+cf", certificates.ca)
    assert sends("+tls", stranger.key, stranger.certificate, "+cf", certificates.ca)


def test_certificates_that_cannot_be_used_are_said_before_it_starts(start_node, tmp_path):
    with pytest.raises(ConfigError, match="a certificate, its key"):
        start_node(tls=Tls(certificate=tmp_path / "none.pem", key=tmp_path / "none.pem"))


def test_a_silent_handshake_holds_up_nobody(start_node, certificates):
    server, client = certificates.make("server"), certificates.make("client")
    node = start_node(tls=Tls(certificate=server.certificate, key=server.key))
    silent = socket.create_connection(("127.0.0.1", node.port))
    options = ("+tls", client.key, client.certificate, "+cf", certificates.ca)
    assert run("echoscu", *options, "-aet", "SENDER", "-aec", "SCNAS", "127.0.0.1", node.port).returncode == 0
    silent.close()


def test_no_record_names_the_patient(node, inbox, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    folder = Drawing(patient="PLANTEDNAME").save(tmp_path)
    paths = sorted(folder.iterdir())
    broken = pydicom.dcmread(paths[0])
    broken.PatientBirthDate = "19121212"
    del broken.StudyInstanceUID
    broken.save_as(paths[0])
    assert send(node.port, paths) == len(paths) - 1
    assert inbox.known(Drawing().plane(0).StudyInstanceUID, "SCNAS") == len(paths) - 1
    said = "\n".join(str(vars(record)) for record in caplog.records)
    assert "refused an object" in said
    for planted in ("PLANTEDNAME", "19700101", "19121212", Drawing().plane(0).StudyInstanceUID):
        assert planted not in said


def test_threads_end_with_their_associations(node):
    before = threading.active_count()
    for _ in range(20):
        association = _associate(node.port)
        association.release()
        socket.create_connection(("127.0.0.1", node.port)).close()
    deadline = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before
