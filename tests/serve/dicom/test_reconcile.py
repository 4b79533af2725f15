import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelMove

from scnas_deploy.errors import RefusedError, SpoolFullError, UnreachableError
from scnas_deploy.serve.arrivals import study_key
from scnas_deploy.serve.dicom.qido import _QidoArchive
from scnas_deploy.serve.dicom.reconcile import Reconciled, Reconciler
from scnas_deploy.serve.settings import FindSource, QidoSource, ReconcileSource
from tests.dicom_drawing import Drawing, Grid
from tests.ports import free_port
from tests.serve.dicom.conftest import NODE_PORT
from tests.serve.dicom.dcmtk import send
from tests.serve.dicom.orthanc import AE_TITLE, PASSWORD, USER
from tests.serve.dicom.results import dicom_files, write_result

GRID = Grid(shape=(8, 8, 3))
NUM = 3


@pytest.fixture
def password(tmp_path) -> Path:
    path = tmp_path / "password"
    path.write_text(PASSWORD)
    return path


@pytest.fixture(params=["qido", "find"])
def source(request, orthanc, start_node, password) -> ReconcileSource:
    """The PACS, to be asked in both ways, and our node where it sends to."""
    start_node(port=NODE_PORT)
    if request.param == "qido":
        return QidoSource(kind="qido", name="archive", url=orthanc.url, user=USER, password=password)
    values = {"kind": "find", "name": "archive", "host": "127.0.0.1", "ae_title": AE_TITLE}
    return FindSource(port=orthanc.dicom_port, **values)


def _drawn(
    folder: Path, study: str, *, days_ago: int = 0, modality: str = "MR", name: str = "drawn", planes: int = NUM
) -> list[Path]:
    day = f"{date.today() - timedelta(days=days_ago):%Y%m%d}"

    def dated(objects):
        for each in objects:
            each.StudyDate = day
        return objects

    drawing = Drawing(study=study, name=name, modality=modality, grid=Grid(shape=(8, 8, planes)), patient="PLANTED")
    return sorted(drawing.save(folder / study, dated).iterdir())


def _uid(study: str) -> str:
    return Drawing(study=study).plane(0).StudyInstanceUID


def test_what_is_missing_is_fetched_and_nothing_else(orthanc, source, inbox, tmp_path):
    studies = {name: _drawn(tmp_path, name) for name in ("there", "half", "gone")}
    studies["yesterday"] = _drawn(tmp_path, "yesterday", days_ago=1, modality="CT")
    studies["too old"] = _drawn(tmp_path, "too old", days_ago=2)
    for paths in studies.values():
        orthanc.upload(paths)
    assert send(NODE_PORT, [*studies["there"], studies["half"][0]]) == NUM + 1
    reconciler = Reconciler(source, inbox, "SCNAS")
    found = reconciler.run_once()
    assert (found.found, found.missing) == (4, 3)
    assert {name: inbox.known(_uid(name), "SCNAS") for name in studies} == {
        "there": NUM,
        "half": NUM,
        "gone": NUM,
        "yesterday": NUM,
        "too old": 0,
    }
    assert found.fetched == 3 * NUM - 1
    assert reconciler.run_once() == Reconciled(found=4, missing=0, fetched=0)


@pytest.fixture
def received(inbox, monkeypatch) -> list[str]:
    """SOP instance UIDs of what has come, each time that it came."""
    uids: list[str] = []
    receive = inbox.receive

    def noted(arrival):
        uids.append(arrival.sop_instance_uid)
        receive(arrival)

    monkeypatch.setattr(inbox, "receive", noted)
    return uids


def _objects(paths: list[Path]) -> list[str]:
    return sorted(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in paths)


def _remove_series(orthanc, paths: list[Path]) -> None:
    uid = pydicom.dcmread(paths[0], stop_before_pixels=True).SeriesInstanceUID
    (found,) = json.loads(orthanc.request("/tools/lookup", uid.encode()))
    orthanc.request(f"/series/{found['ID']}", method="DELETE")


def test_objects_of_another_modality_do_not_stand_for_what_is_missing(orthanc, source, inbox, received, tmp_path):
    emission = _drawn(tmp_path, "both", modality="PT", name="emission")
    planes = _drawn(tmp_path, "both", modality="CT", name="planes")
    orthanc.upload([*emission, *planes])
    assert send(NODE_PORT, emission) == len(planes)
    received.clear()
    reconciler = Reconciler(source.model_copy(update={"modalities": ("CT",)}), inbox, "SCNAS")
    assert reconciler.run_once() == Reconciled(found=1, missing=1, fetched=NUM)
    assert sorted(received) == _objects(planes)
    assert reconciler.run_once() == Reconciled(found=1, missing=0, fetched=0)


@pytest.mark.parametrize("was_looked_at", [True, False])
def test_a_series_that_replaces_another_of_as_many_objects_is_fetched(
    orthanc, source, inbox, received, tmp_path, was_looked_at
):
    first, second = (_drawn(tmp_path, "study", name=name) for name in ("first", "second"))
    orthanc.upload(first)
    assert send(NODE_PORT, first) == NUM
    reconciler = Reconciler(source, inbox, "SCNAS")
    if was_looked_at:
        assert reconciler.run_once() == Reconciled(found=1, missing=0, fetched=0)
    orthanc.upload(second)
    _remove_series(orthanc, first)
    received.clear()
    assert reconciler.run_once() == Reconciled(found=1, missing=1, fetched=NUM)
    assert sorted(received) == _objects(second)


def test_of_an_incomplete_study_only_the_rest_comes(orthanc, source, inbox, received, tmp_path, monkeypatch):
    monkeypatch.setattr("scnas_deploy.serve.dicom.find._MAX_LISTED", 2)
    one, two = (_drawn(tmp_path, "study", name=name, planes=5) for name in ("one", "two"))
    orthanc.upload([*one, *two])
    assert send(NODE_PORT, [*one, two[1], two[3]]) == 7
    received.clear()
    reconciler = Reconciler(source, inbox, "SCNAS")
    assert reconciler.run_once() == Reconciled(found=1, missing=1, fetched=3)
    assert sorted(received) == _objects([two[0], two[2], two[4]])
    assert reconciler.run_once() == Reconciled(found=1, missing=0, fetched=0)


def test_what_the_ledger_does_not_know_is_missing(orthanc, source, inbox, spool, tmp_path):
    """As where the server ended between the disk and the ledger: nothing would ever look at the study."""
    paths = _drawn(tmp_path, "study")
    orthanc.upload(paths)
    for path, uid in zip(paths, _objects(paths), strict=True):
        spool.store_object(study_key(_uid("study"), "SCNAS"), uid, path.read_bytes())
    assert Reconciler(source, inbox, "SCNAS").run_once() == Reconciled(found=1, missing=1, fetched=NUM)
    assert inbox.missing(_uid("study"), "SCNAS", {*_objects(paths), "1.2.3"}) == {"1.2.3"}


def test_a_complete_study_is_listed_again_only_when_it_changes(orthanc, password, inbox, tmp_path, monkeypatch):
    asked, objects = [], _QidoArchive.objects
    monkeypatch.setattr(_QidoArchive, "objects", lambda *of: asked.append(of[2]) or objects(*of))
    paths = _drawn(tmp_path, "study")
    orthanc.upload(paths[:2])
    source = QidoSource(kind="qido", name="archive", url=orthanc.url, user=USER, password=password)
    reconciler = Reconciler(source, inbox, "SCNAS")
    for fetched, num_asked in ((2, 1), (0, 2), (0, 2)):
        assert reconciler.run_once().fetched == fetched
        assert len(asked) == num_asked
    orthanc.upload(paths[2:])
    assert [reconciler.run_once().fetched, len(asked)] == [1, 3]
    monkeypatch.setattr("scnas_deploy.serve.dicom.reconcile._PROOF_S", 0.0)
    assert [(reconciler.run_once().missing, len(asked)) for _ in range(2)] == [(0, 4), (0, 5)]


@contextmanager
def _fake_archive_without_lists(paths: list[Path], refusal: int | None) -> Iterator[int]:
    """The port of an archive that answers a list of objects with a status or, where that is None, one object."""
    held = [pydicom.dcmread(path) for path in paths]

    def found(event):
        level = event.identifier.QueryRetrieveLevel
        for each in held if level == "IMAGE" else held[:1]:
            each.NumberOfSeriesRelatedInstances = len(held)
            answer = pydicom.Dataset()
            answer.QueryRetrieveLevel = level
            answer.update({one.tag: each[one.tag] for one in event.identifier if one.keyword in each})
            yield 0xFF00, answer

    def moved(event):
        yield "127.0.0.1", NODE_PORT, {"contexts": archive.requested_contexts}
        is_list = event.identifier.QueryRetrieveLevel == "IMAGE"
        if is_list and refusal is not None:
            yield 0
            yield refusal, None
            return
        sent = held[:1] if is_list else held
        yield len(sent)
        yield from ((0xFF00, each) for each in sent)

    archive = AE(AE_TITLE)
    archive.add_requested_context(held[0].SOPClassUID, held[0].file_meta.TransferSyntaxUID)
    archive.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    archive.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    handlers = [(evt.EVT_C_FIND, found), (evt.EVT_C_MOVE, moved)]
    server = archive.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


@pytest.mark.parametrize("refusal", [0xA900, 0xC001, 0xA702, None])
def test_of_an_archive_that_takes_no_lists_the_whole_series_comes(start_node, inbox, received, tmp_path, refusal):
    paths = _drawn(tmp_path, "study")
    start_node(port=NODE_PORT)
    assert send(NODE_PORT, paths[:1]) == 1
    received.clear()
    with _fake_archive_without_lists(paths, refusal) as port:
        values = {"kind": "find", "name": "archive", "host": "127.0.0.1", "ae_title": AE_TITLE, "modalities": ["MR"]}
        reconciler = Reconciler(FindSource(port=port, **values), inbox, "SCNAS")
        assert reconciler.run_once().missing == 1
        assert set(received) == set(_objects(paths))
        assert reconciler.run_once() == Reconciled(found=1, missing=0, fetched=0)


def test_what_is_fetched_is_what_was_archived(orthanc, source, inbox, spool, tmp_path):
    paths = _drawn(tmp_path, "whole")
    orthanc.upload(paths)
    Reconciler(source, inbox, "SCNAS").run_once()
    key = study_key(_uid("whole"), "SCNAS")
    kept = {
        each.SOPInstanceUID: each for each in (pydicom.dcmread(spool.incoming(key) / n) for n in spool.objects(key))
    }
    sent = {each.SOPInstanceUID: each for each in map(pydicom.dcmread, paths)}
    assert kept == sent


def test_objects_that_we_do_not_take_are_not_missing(orthanc, source, inbox, tmp_path):
    """Our own results, and captures that lie in a series of images."""
    files = dicom_files(write_result(tmp_path))
    orthanc.upload([path for _, path in files])
    capture = Drawing(study="capture", grid=GRID).plane(0)
    capture.StudyDate = f"{date.today():%Y%m%d}"
    capture.SOPClassUID = capture.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    capture.save_as(tmp_path / "capture.dcm", enforce_file_format=True)
    orthanc.upload([tmp_path / "capture.dcm"])
    assert Reconciler(source, inbox, "SCNAS").run_once() == Reconciled(found=1, missing=0, fetched=0)


def test_only_the_modalities_asked_for(orthanc, source, inbox, tmp_path):
    orthanc.upload(
        [*_drawn(tmp_path, "ct", modality="CT"), *_drawn(tmp_path, "mr"), *_drawn(tmp_path, "pt", modality="PT")]
    )
    only = source.model_copy(update={"modalities": ("CT", "PT")})
    assert Reconciler(only, inbox, "SCNAS").run_once() == Reconciled(found=2, missing=2, fetched=2 * NUM)
    assert inbox.known(_uid("mr"), "SCNAS") == 0


def test_many_studies_come_page_by_page(orthanc, password, inbox, tmp_path, monkeypatch):
    monkeypatch.setattr("scnas_deploy.serve.dicom.qido._PAGE", 2)
    for number in range(5):
        orthanc.upload(_drawn(tmp_path, f"study {number}")[:1])
    source = QidoSource(kind="qido", name="archive", url=orthanc.url, user=USER, password=password)
    assert Reconciler(source, inbox, "SCNAS").run_once() == Reconciled(found=5, missing=5, fetched=5)


def test_an_archive_that_is_away_is_a_matter_of_time(inbox):
    qido = QidoSource(kind="qido", name="archive", url=f"http://127.0.0.1:{free_port()}/dicom-web")
    find = FindSource(kind="find", name="archive", host="127.0.0.1", port=free_port(), ae_title=AE_TITLE)
    for source in (qido, find):
        with pytest.raises(UnreachableError):
            Reconciler(source, inbox, "SCNAS").run_once()


def test_wrong_credentials_are_refused(orthanc, inbox, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    source = QidoSource(kind="qido", name="archive", url=orthanc.url, user=USER, password=wrong)
    with pytest.raises(RefusedError, match="status 401"):
        Reconciler(source, inbox, "SCNAS").run_once()


def test_an_archive_that_does_not_know_where_to_send_is_noted_and_not_asked_at_once_again(
    orthanc, inbox, tmp_path, caplog
):
    orthanc.upload(_drawn(tmp_path, "study"))
    values = {"host": "127.0.0.1", "ae_title": AE_TITLE, "called_ae_title": "UNKNOWN"}
    source = FindSource(kind="find", name="archive", port=orthanc.dicom_port, **values)
    reconciler = Reconciler(source, inbox, "SCNAS")
    for _ in range(2):
        assert reconciler.run_once() == Reconciled(found=1, missing=1, fetched=0)
    assert [record.getMessage() for record in caplog.records] == ["a study that is not given"]
    assert caplog.records[0].scnas["source"] == "archive"


def test_a_full_spool_is_said_and_the_rest_comes_later(orthanc, password, inbox, tmp_path, monkeypatch):
    orthanc.upload(_drawn(tmp_path, "study"))
    source = QidoSource(kind="qido", name="archive", url=orthanc.url, user=USER, password=password)
    reconciler = Reconciler(source, inbox, "SCNAS")
    monkeypatch.setattr(inbox._space, "_min_free_bytes", 1 << 60)
    with pytest.raises(SpoolFullError):
        reconciler.run_once()
    monkeypatch.setattr(inbox._space, "_min_free_bytes", 1)
    assert reconciler.run_once() == Reconciled(found=1, missing=1, fetched=NUM)


def test_an_object_beyond_the_limit_is_left_and_the_others_come(orthanc, password, inbox, tmp_path, caplog):
    paths = _drawn(tmp_path, "study")
    large = pydicom.dcmread(paths[0])
    large.TextValue = "x" * 200_000
    large.save_as(paths[0])
    orthanc.upload(paths)
    source = QidoSource(kind="qido", name="archive", url=orthanc.url, user=USER, password=password)
    reconciler = Reconciler(source, inbox, "SCNAS", max_object_bytes=100_000)
    assert reconciler.run_once() == Reconciled(found=1, missing=1, fetched=NUM - 1)
    (record,) = caplog.records
    assert "an answer of more than" in record.scnas["error"]


def test_a_study_that_is_not_given_stops_no_other(orthanc, password, inbox, tmp_path, caplog, monkeypatch):
    orthanc.upload(_drawn(tmp_path, "first") + _drawn(tmp_path, "second"))
    series = _QidoArchive.series

    def refused(archive, study_uid):
        if study_uid == _uid("first"):
            raise UnreachableError("archive", expected="an answer", found="status 500", remedy="Look at it")
        return series(archive, study_uid)

    monkeypatch.setattr(_QidoArchive, "series", refused)
    source = QidoSource(kind="qido", name="archive", url=orthanc.url, user=USER, password=password)
    assert Reconciler(source, inbox, "SCNAS").run_once() == Reconciled(found=2, missing=1, fetched=NUM)
    assert "a study that is not given" in caplog.messages


def test_a_stop_ends_a_look(orthanc, source, inbox, tmp_path):
    orthanc.upload(_drawn(tmp_path, "study"))
    stop = threading.Event()
    stop.set()
    assert Reconciler(source, inbox, "SCNAS", stop=stop).run_once() == Reconciled(found=1, missing=0, fetched=0)


def test_no_record_names_the_patient(orthanc, source, inbox, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    orthanc.upload(_drawn(tmp_path, "study"))
    Reconciler(source, inbox, "SCNAS").run_once()
    said = "\n".join(str(vars(record)) for record in caplog.records)
    assert "fetched what was missing" in said
    assert "PLANTED" not in said
    assert _uid("study") not in said
