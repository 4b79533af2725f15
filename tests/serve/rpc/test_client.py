"""What the client finds to send, and what it does not take from a server."""

import zipfile
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from scnas_deploy.errors import FormatError, ScnasError, UnreachableError
from scnas_deploy.files import sha256_of
from scnas_deploy.serve.rpc import client as client_module
from scnas_deploy.serve.rpc.client import Client
from scnas_deploy.serve.rpc.sending import outgoing
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.v1.segmentation_pb2_grpc import SegmentationServicer, add_SegmentationServicer_to_server
from tests.serve.studies import crop_objects, encoded

CONTENT = b"a mask"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(client_module, "_WAITS_S", ())


@pytest.fixture
def dicom_folder(tmp_path, scnas_data):
    """A study in folders, with files that are none of it, and an object without preamble."""
    folder = tmp_path / "study"
    (folder / "a" / "b").mkdir(parents=True)
    contents = [encoded(each) for each in list(crop_objects(scnas_data, 0))[:3]]
    (folder / "a" / "1").write_bytes(contents[0])
    (folder / "a" / "b" / "2.dcm").write_bytes(contents[1])
    (folder / "3").write_bytes(contents[2][132:])
    (folder / "README.txt").write_text("a viewer comes with it")
    (folder / "empty").touch()
    return folder


def test_a_folder_of_dicom_is_walked_and_other_files_stay(place, client, dicom_folder):
    job = place.ledger.find(client.submit([dicom_folder]).job)
    assert job.payload["files"] == ["0000.dcm", "0001.dcm", "0002.dcm"]
    stored = place.spool.path(job.payload["folder"])
    sent = {path.read_bytes() for path in dicom_folder.rglob("*") if path.name in ("1", "2.dcm", "3")}
    assert {path.read_bytes() for path in stored.glob("*.dcm")} == sent


def test_a_zip_of_dicom_is_sent_unpacked(place, client, dicom_folder, tmp_path):
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in dicom_folder.rglob("*"):
            packed.write(path, path.relative_to(dicom_folder))
    job = place.ledger.find(client.submit([archive]).job)
    assert len(job.payload["files"]) == 3
    assert job.payload["formats"] == ["dicom-seg", "sr"]


def test_digests_are_checked_where_that_is_wished(place, client, study):
    from scnas_deploy.serve.rpc.values import Wish

    job = place.ledger.find(client.submit([study, study], Wish(digests=True)).job)
    assert place.spool.path(f"{job.payload['folder']}/0001.nii").read_bytes() == study.read_bytes()


def test_nothing_to_send_is_said(tmp_path):
    (tmp_path / "README.txt").write_text("nothing else here")
    for paths in ([], [tmp_path], [tmp_path / "missing.nii"]):
        with pytest.raises(FormatError):
            outgoing(paths)


def test_no_server_is_unreachable(tmp_path, study):
    with Client("127.0.0.1:1") as client:
        for ask in (
            client.models,
            lambda: list(client.jobs()),
            lambda: client.submit([study]),
            lambda: list(client.watch(1)),
            lambda: client.fetch(1, tmp_path / "results"),
            lambda: client.cancel(1),
        ):
            with pytest.raises(UnreachableError) as refused:
                ask()
            assert isinstance(refused.value, ConnectionError)


def head(num_files=1):
    return pb.FetchResponse(header=pb.ResultHeader(num_files=num_files))


def begin(name="seg.dcm", sha256=None, form=pb.FORMAT_DICOM_SEG):
    digest = bytes.fromhex(sha256_of(CONTENT)) if sha256 is None else sha256
    return pb.FetchResponse(file=pb.ResultFile(name=name, size=len(CONTENT), sha256=digest, format=form))


def part(content=CONTENT):
    return pb.FetchResponse(chunk=content)


class LyingServer(SegmentationServicer):
    """Sends what it is told to, as a result."""

    parts = ()

    def Fetch(self, request, context):  # noqa: N802
        yield from self.parts


@pytest.fixture
def liar():
    pool, servicer = ThreadPoolExecutor(2), LyingServer()
    server = grpc.server(pool)
    add_SegmentationServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Client(f"127.0.0.1:{port}") as client:
        yield servicer, client
    server.stop(0).wait()
    pool.shutdown()


def test_a_result_that_is_whole_is_taken(liar, tmp_path):
    liar[0].parts = (head(), begin(), part(CONTENT[:3]), part(CONTENT[3:]))
    fetched = liar[1].fetch(1, tmp_path / "results")
    assert fetched.files[0][1].read_bytes() == CONTENT


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (begin(), part()),
        (head(),),
        (head(), part()),
        (head(2), begin(), part()),
        (head(), begin(), part(), begin("sr.dcm"), part()),
        (head(), begin(), part(b"another")),
        (head(), begin(), part(b"a masc")),
        (head(), begin(), part(b"a ma")),
        (head(), begin(sha256=b""), part()),
        (head(2), begin(), part(), begin(), part()),
        (head(), begin("../seg.dcm"), part()),
        (head(), begin("/tmp/seg.dcm"), part()),
        (head(), begin(".bashrc"), part()),
        (head(), begin(""), part()),
        (head(), begin(".."), part()),
        (head(), begin("a/b"), part()),
        (head(), begin("a\nb"), part()),
        (head(), begin(form=77), part()),
    ],
)
def test_a_result_that_is_not_what_it_says_is_not_taken(liar, tmp_path, parts):
    liar[0].parts = parts
    with pytest.raises(ScnasError):
        liar[1].fetch(1, tmp_path / "results")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_files_of_an_earlier_result_stay_until_the_new_one_is_whole(liar, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "seg.dcm").write_bytes(b"earlier")
    liar[0].parts = (head(2), begin(), part())
    with pytest.raises(FormatError):
        liar[1].fetch(1, folder)
    assert (folder / "seg.dcm").read_bytes() == b"earlier"
    liar[0].parts = (head(), begin(), part())
    liar[1].fetch(1, folder)
    assert (folder / "seg.dcm").read_bytes() == CONTENT
