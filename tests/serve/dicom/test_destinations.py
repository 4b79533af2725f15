import logging
import threading
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
import requests
from pynetdicom import AE, evt

from scnas_deploy.errors import ConfigError, FormatError, RefusedError, UnreachableError
from scnas_deploy.serve.dicom.destinations import open_destination
from scnas_deploy.serve.dicom.outcomes import Receipts
from scnas_deploy.serve.settings import ClientTls, Destination, DicomDestination, StowDestination, Tls
from tests.ports import free_port
from tests.serve.dicom.certificates import Certificates
from tests.serve.dicom.dcmtk import Receiver
from tests.serve.dicom.orthanc import AE_TITLE, PASSWORD, USER, Orthanc
from tests.serve.dicom.results import dicom_files, write_result
from tests.serve.dicom.stow_fake import FakeStow

SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"
IMPLICIT = "1.2.840.10008.1.2"


def _on() -> None:
    """Nothing keeps the sender from going on."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return dicom_files(write_result(tmp_path_factory.mktemp("result")))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def password(tmp_path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


def _dicom(port: int, **changes) -> DicomDestination:
    values = {"kind": "dicom", "name": "pacs", "host": "127.0.0.1", "port": port, "ae_title": AE_TITLE}
    return DicomDestination(**(values | changes))


def _stow(url: str, **changes) -> StowDestination:
    return StowDestination(kind="stow", name="pacs", url=url, **changes)


@pytest.fixture(params=["C-STORE", "STOW-RS"])
def destination(request, running_orthanc, password) -> Destination:
    """The PACS, in both ways."""
    if request.param == "C-STORE":
        return _dicom(running_orthanc.dicom_port)
    return _stow(running_orthanc.url, user=USER, password=password)


def _names(files) -> tuple[str, ...]:
    return tuple(file.name for file, _ in files)


def test_a_result_sent_twice_is_there_once_as_it_was_proven(orthanc, destination, files):
    sender = open_destination(destination, "SCNAS")
    for _ in range(2):
        answer = sender.send(files, _on)
        assert answer.accepted == _names(files) == ("preview.dcm", "seg.dcm", "sr.dcm")
        assert not answer.not_negotiated
    assert orthanc.objects() == sorted(file.sop_instance for file, _ in files)
    for file, path in files:
        assert pydicom.dcmread(orthanc.file(file.sop_instance)) == pydicom.dcmread(path)


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_a_pacs_that_comes_back_gets_the_result(orthanc, files, password, way):
    pacs = Orthanc({})
    try:
        stow = _stow(pacs.url, user=USER, password=password)
        sender = open_destination(_dicom(pacs.dicom_port) if way == "C-STORE" else stow, "SCNAS")
        with pytest.raises(UnreachableError, match="pacs: expected an answer, found none"):
            sender.send(files, _on)
        pacs.start()
        assert sender.send(files, _on).accepted == _names(files)
        pacs.kill()
        with pytest.raises(UnreachableError):
            sender.send(files, _on)
        pacs.start()
        assert sender.send(files, _on).accepted == _names(files)
        assert pacs.objects() == sorted(file.sop_instance for file, _ in files)
    finally:
        pacs.remove()


def test_a_stop_between_two_files_ends_the_sending(destination, files):
    class StoppedError(BaseException):
        pass

    calls = []

    def check() -> None:
        calls.append(None)
        if len(calls) > 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        open_destination(destination, "SCNAS").send(files, check)
    assert not [each for each in threading.enumerate() if "Association" in type(each).__name__ and each.is_alive()]


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_nobody_there_is_a_matter_of_time(files, host):
    for destination in (_dicom(free_port(), host=host), _stow(f"http://{host}:{free_port()}/dicom-web")):
        with pytest.raises(UnreachableError):
            open_destination(destination, "SCNAS").send(files, _on)


def test_a_foreign_receiver_gets_them(files, tmp_path):
    with Receiver(tmp_path / "received") as receiver:
        answer = open_destination(_dicom(receiver.port), "SCNAS").send(files, _on)
    assert answer.accepted == _names(files)
    kept = {each.SOPInstanceUID: each for each in map(pydicom.dcmread, receiver.folder.iterdir())}
    assert all(kept[file.sop_instance] == pydicom.dcmread(path) for file, path in files)


def test_a_receiver_that_knows_only_the_default_syntax_gets_them_in_it(files, tmp_path):
    with Receiver(tmp_path / "received", "+xi") as receiver:
        answer = open_destination(_dicom(receiver.port), "SCNAS").send(files, _on)
    assert answer.accepted == _names(files)
    kept = {each.SOPInstanceUID: each for each in map(pydicom.dcmread, receiver.folder.iterdir())}
    assert {each.file_meta.TransferSyntaxUID for each in kept.values()} == {IMPLICIT}
    assert all(kept[file.sop_instance].PixelData == pydicom.dcmread(path).PixelData for file, path in files[:2])


@contextmanager
def _receiver(
    *classes: str,
    statuses: tuple[int, ...] = (0x0000,),
    rejects: tuple[int, int, int] | None = None,
    sent: list[str] | None = None,
):
    """A receiver that takes some kinds, says what it is told to, the last status again and again, and notes UIDs."""
    application, left, noted = AE(ae_title=AE_TITLE), list(statuses), [] if sent is None else sent
    for each in classes:
        application.add_supported_context(each)

    def on_store(event) -> int:
        noted.append(event.request.AffectedSOPInstanceUID)
        return left.pop(0) if len(left) > 1 else left[0]

    def on_request(event) -> None:
        if rejects:
            event.assoc.acse.send_reject(*rejects)
            event.assoc.kill()

    events = [(evt.EVT_C_STORE, on_store), (evt.EVT_REQUESTED, on_request)]
    server = application.start_server(("127.0.0.1", 0), block=False, evt_handlers=events)
    try:
        yield server.server_address[1]
    finally:
        application.shutdown()


def test_what_a_receiver_does_not_take_is_said(files):
    with _receiver(SR) as port:
        answer = open_destination(_dicom(port), "SCNAS").send(files, _on)
    assert answer.accepted == ("sr.dcm",)
    assert answer.not_negotiated == ("preview.dcm", "seg.dcm")


def test_a_receiver_that_takes_nothing_is_no_matter_of_time(files):
    with _receiver("1.2.840.10008.1.1") as port, pytest.raises(RefusedError, match="takes nothing of it"):
        open_destination(_dicom(port), "SCNAS").send(files, _on)


@pytest.mark.parametrize(
    ("rejects", "error"),
    [((1, 1, 3), RefusedError), ((1, 1, 7), RefusedError), ((2, 3, 2), UnreachableError)],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_rejections_are_for_good_or_for_now(files, rejects, error):
    """A thread of the library may still look at the association that it has just rejected, and end with an error."""
    with _receiver(SEG, rejects=rejects) as port, pytest.raises(error):
        open_destination(_dicom(port), "SCNAS").send(files, _on)


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0111, 0x0107])
def test_warnings_and_duplicates_are_successes(files, status):
    with _receiver(SEG, statuses=(status,)) as port:
        assert open_destination(_dicom(port), "SCNAS").send(files, _on).accepted == ("seg.dcm",)


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0x0110, 0x0213])
def test_a_receiver_without_room_is_a_matter_of_time(files, status):
    with _receiver(SEG, statuses=(status,)) as port, pytest.raises(UnreachableError, match=f"status {status:04X}"):
        open_destination(_dicom(port), "SCNAS").send(files, _on)


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xC123, 0x0122, 0x0124, 0x0117])
def test_a_refusal_is_said_after_the_others_were_sent(files, status):
    refused, sent = pytest.raises(RefusedError, match=f"status {status:04X} for 1 of them"), []
    with _receiver(SEG, SR, statuses=(status, 0x0000), sent=sent) as port, refused:
        open_destination(_dicom(port), "SCNAS").send(files, _on)
    assert sent == [file.sop_instance for file, _ in files if file.sop_class in (SEG, SR)]


def test_an_object_that_is_not_taken_now_holds_up_no_other_and_is_sent_again_alone(files):
    kept, sent = [], []
    with _receiver(SEG, SR, statuses=(0x0110, 0x0000), sent=sent) as port:
        sender = open_destination(_dicom(port), "SCNAS")
        with pytest.raises(UnreachableError, match="status 0110 for 1 of them"):
            sender.send(files, _on, Receipts((), kept.append))
        assert kept == [("sr.dcm",)]
        answer = sender.send(files, _on, Receipts(kept[-1]))
    seg, sr = (file.sop_instance for file, _ in files if file.sop_class in (SEG, SR))
    assert sent == [seg, sr, seg]
    assert sorted(answer.accepted) == ["seg.dcm", "sr.dcm"]
    assert answer.not_negotiated == ("preview.dcm",)


def test_what_is_not_taken_now_is_tried_again_though_another_object_is_refused(files):
    with _receiver(SEG, SR, statuses=(0xC000, 0xA700)) as port, pytest.raises(UnreachableError):
        open_destination(_dicom(port), "SCNAS").send(files, _on)


def test_a_damaged_file_of_ours_is_said(files, tmp_path):
    path = tmp_path / "seg.dcm"
    path.write_bytes(b"nothing")
    with pytest.raises(FormatError, match="a DICOM file of ours"):
        open_destination(_dicom(free_port()), "SCNAS").send([(files[0][0], path)], _on)


def test_tls_of_a_receiver_is_checked(files, certificates, tmp_path):
    server, client = certificates.make("server"), certificates.make("client")
    folder = tmp_path / "received"
    options = ("+tls", server.key, server.certificate, "+cf", certificates.ca, "--require-peer-cert")
    with Receiver(folder, *options) as receiver:
        shown = {"ca": certificates.ca, "certificate": client.certificate, "key": client.key}
        trusted = _dicom(receiver.port, tls=ClientTls(**shown))
        assert open_destination(trusted, "SCNAS").send(files, _on).accepted == _names(files)
        other = Certificates(tmp_path / "others")
        for tls in (ClientTls(**(shown | {"ca": other.ca})), None):
            with pytest.raises(UnreachableError):
                open_destination(_dicom(receiver.port, tls=tls), "SCNAS").send(files, _on)


def test_our_results_are_not_taken_by_our_own_node(start_node, files, certificates):
    server = certificates.make("server")
    node = start_node(tls=Tls(certificate=server.certificate, key=server.key))
    ours = _dicom(node.port, ae_title="SCNAS", tls=ClientTls(ca=certificates.ca))
    with pytest.raises(RefusedError, match="takes nothing of it"):
        open_destination(ours, "SENDER").send(files, _on)


@pytest.mark.parametrize(
    ("answers", "accepted", "not_negotiated"),
    [
        ([(200, None)], ("preview.dcm", "seg.dcm", "sr.dcm"), ()),
        ([(202, 0x0122), (200, None)], ("seg.dcm", "sr.dcm"), ("preview.dcm",)),
        ([(409, 0x0111), (200, None)], ("preview.dcm", "seg.dcm", "sr.dcm"), ()),
        ([(200, 0x0122), (409, 0x0122), (200, None)], ("sr.dcm",), ("preview.dcm", "seg.dcm")),
    ],
)
def test_stow_says_of_each_file_what_became_of_it(files, answers, accepted, not_negotiated):
    with FakeStow(*answers) as fake:
        answer = open_destination(_stow(fake.url), "SCNAS").send(files, _on)
    assert (answer.accepted, answer.not_negotiated) == (accepted, not_negotiated)
    assert all(path.read_bytes() in body for (_, path), (_, _, body) in zip(files, fake.requests, strict=True))
    assert {place for place, _, _ in fake.requests} == {"/dicom-web/studies"}


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, RefusedError), (405, RefusedError)] + [(each, UnreachableError) for each in (301, 307, 401, 403, 404)],
)
def test_stow_that_takes_no_request_is_asked_once(files, status, error):
    with FakeStow((status, None)) as fake, pytest.raises(error, match=f"status {status}"):
        open_destination(_stow(fake.url), "SCNAS").send(files, _on)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("answer", [(409, None), (202, 0xC000), (409, 0xA900), (415, None)])
def test_stow_refuses_an_object(files, answer):
    with FakeStow(answer, (200, None)) as fake, pytest.raises(RefusedError, match="for 1 of them"):
        open_destination(_stow(fake.url), "SCNAS").send(files, _on)
    assert len(fake.requests) == len(files)


@pytest.mark.parametrize("answer", [(500, None), (503, None), (429, None), (202, 0xA700), (202, 0x0110)])
def test_stow_is_tried_again_later(files, answer):
    with FakeStow(answer) as fake, pytest.raises(UnreachableError):
        open_destination(_stow(fake.url), "SCNAS").send(files, _on)


def test_stow_goes_on_after_an_object_that_is_not_taken_now(files):
    kept = []
    with FakeStow((202, 0xA700), (200, None)) as fake:
        sender = open_destination(_stow(fake.url), "SCNAS")
        with pytest.raises(UnreachableError, match="failure reason A700 for 1 of them"):
            sender.send(files, _on, Receipts((), kept.append))
        assert kept[-1] == ("seg.dcm", "sr.dcm")
        answer = sender.send(files, _on, Receipts(kept[-1]))
        assert len(fake.requests) == len(files) + 1
    assert sorted(answer.accepted) == sorted(_names(files))


def test_stow_has_ten_minutes_for_an_answer(files, monkeypatch):
    given, request = [], requests.Session.request

    def noting(*arguments, **more):
        given.append(more["timeout"])
        return request(*arguments, **more)

    monkeypatch.setattr(requests.Session, "request", noting)
    with FakeStow((200, None)) as fake:
        open_destination(_stow(fake.url), "SCNAS").send(files, _on)
    assert set(given) == {(10.0, 600.0)}


def test_stow_takes_nothing_of_these_kinds(files):
    with FakeStow((409, 0x0122)) as fake, pytest.raises(RefusedError, match="takes nothing of it"):
        open_destination(_stow(fake.url), "SCNAS").send(files, _on)


def test_a_token_is_shown_and_never_said(files, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    token = tmp_path / "token"
    token.write_text("PLANTEDTOKEN\n")
    with FakeStow((403, None)) as fake, pytest.raises(UnreachableError) as caught:
        open_destination(_stow(fake.url, token=token), "SCNAS").send(files, _on)
    assert fake.requests[0][1]["Authorization"] == "Bearer PLANTEDTOKEN"
    assert "PLANTEDTOKEN" not in str(caught.value) + "".join(str(vars(each)) for each in caplog.records)
    with pytest.raises(ConfigError, match="a file with a password or token"):
        open_destination(_stow("http://127.0.0.1", token=tmp_path / "none"), "SCNAS").send(files, _on)


def test_wrong_credentials_of_a_real_service_are_said_and_tried_again(orthanc, files, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    with pytest.raises(UnreachableError, match="status 401"):
        open_destination(_stow(orthanc.url, user=USER, password=wrong), "SCNAS").send(files, _on)


def test_tls_of_a_service_is_checked(files, certificates, tmp_path):
    server, client = certificates.make("server"), certificates.make("client")
    shown = {"ca": certificates.ca, "certificate": client.certificate, "key": client.key}
    with FakeStow((200, None), certificate=server, client_ca=certificates.ca) as fake:
        answer = open_destination(_stow(fake.url, tls=ClientTls(**shown)), "SCNAS").send(files, _on)
        assert answer.accepted == _names(files)
        for tls in (ClientTls(ca=certificates.ca), ClientTls(ca=Certificates(tmp_path / "others").ca), None):
            with pytest.raises(UnreachableError):
                open_destination(_stow(fake.url, tls=tls), "SCNAS").send(files, _on)
    with pytest.raises(ConfigError, match="a certificate, its key"):
        open_destination(_stow(fake.url, tls=ClientTls(ca=tmp_path / "none")), "SCNAS").send(files, _on)
