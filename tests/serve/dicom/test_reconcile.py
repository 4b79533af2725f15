import logging
import threading
from datetime import date, timedelta
from pathlib import Path

import pytest

from scnas_deploy.errors import RefusedError, SpoolFullError, UnreachableError
from scnas_deploy.serve.arrivals import study_key
from scnas_deploy.serve.dicom.reconcile import Reconciled, Reconciler
from scnas_deploy.serve.settings import FindSource, QidoSource, ReconcileSource
from tests.dicom_drawing import Drawing, Grid
from tests.serve.dicom.conftest import NODE_PORT
from tests.serve.dicom.dcmtk import send
from tests.serve.dicom.orthanc import AE_TITLE, PASSWORD, USER, free_port
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


def _drawn(folder: Path, study: str, *, days_ago: int = 0, modality: str = "MR", name: str = "drawn") -> list[Path]:
    day = f"{date.today() - timedelta(days=days_ago):%Y%m%d}"

    def dated(objects):
        for each in objects:
            each.StudyDate = day
        return objects

    drawing = Drawing(study=study, name=name, modality=modality, grid=GRID, patient="PLANTED")
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
    assert found.fetched == 3 * NUM
    assert reconciler.run_once() == Reconciled(found=4, missing=0, fetched=0)


def test_what_is_fetched_is_what_was_archived(orthanc, source, inbox, spool, tmp_path):
    import pydicom

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
    monkeypatch.setattr(inbox, "_min_free_bytes", 1 << 60)
    with pytest.raises(SpoolFullError):
        reconciler.run_once()
    monkeypatch.setattr(inbox, "_min_free_bytes", 1)
    assert reconciler.run_once() == Reconciled(found=1, missing=1, fetched=NUM)


def test_an_object_beyond_the_limit_is_left_and_the_others_come(orthanc, password, inbox, tmp_path, caplog):
    orthanc.upload(_drawn(tmp_path, "study"))
    source = QidoSource(kind="qido", name="archive", url=orthanc.url, user=USER, password=password)
    reconciler = Reconciler(source, inbox, "SCNAS", max_object_bytes=-(64 << 10) + 100)
    assert reconciler.run_once() == Reconciled(found=1, missing=1, fetched=0)
    (record,) = caplog.records
    assert "an answer of more than 100 bytes" in record.scnas["error"]


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
