"""One trace from a study's first object to the destination that took its results, sent to a real OTLP receiver."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.serve.dicom.orthanc import AE_TITLE, Orthanc
from tests.serve.process import wait_until
from tests.serve.running_server import start_server
from tests.serve.sender import send_study
from tests.serve.studies import crop_objects

DELIVERED = """
destinations = ["pacs"]
[[destinations]]
name = "pacs"
kind = "dicom"
host = "127.0.0.1"
port = {pacs}
ae_title = "{title}"
"""


class Receiver:
    """Keeps the spans that are sent to it."""

    def __init__(self):
        spans = self.spans = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def pacs():
    orthanc = Orthanc({}).start()
    yield orthanc
    orthanc.remove()


@pytest.fixture
def server(tmp_path, pacs, receiver):
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    process = start_server(tmp_path / "server", DELIVERED.format(pacs=pacs.dicom_port, title=AE_TITLE), environment)
    yield process.wait_ready()
    process.end()


def test_a_study_is_one_trace_from_its_arrival_to_its_delivery(server, receiver, scnas_data, pacs):
    planted = list(crop_objects(scnas_data))
    for dataset in planted:
        dataset.PatientName = dataset.PatientID = dataset.SeriesDescription = "PLANTED"
    send_study(server.dicom, planted)
    wait_until(lambda: len(pacs.get("/series")) == 2, "segmentation and report are in the PACS")
    assert server.stop() == 0
    spans = {span.name: span for span in receiver.spans}
    assert {"receive", "segment", "reading", "segmenting", "writing", "deliver"} <= set(spans)
    assert len({span.trace_id for span in spans.values()}) == 1
    assert spans["segment"].parent_span_id == spans["receive"].span_id
    assert spans["deliver"].parent_span_id == spans["segment"].span_id
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in receiver.spans)
    assert "PLANTED" not in "".join(map(str, receiver.spans))
