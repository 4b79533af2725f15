"""A node on an inbox of the test's own, and a PACS."""

import shutil
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from scnas_deploy.serve.dicom.node import DicomNode
from scnas_deploy.serve.inbox import Inbox
from scnas_deploy.serve.settings import DicomSettings, Peer
from tests.conftest import REQUIRE_ALL
from tests.ports import free_port
from tests.serve.dicom.orthanc import AE_TITLE, PLUGIN, PROGRAM, Orthanc

LOOPBACK = ip_network("127.0.0.1")
PEERS = tuple(Peer(ae_title=title, address=LOOPBACK) for title in ("SENDER", AE_TITLE))
NODE_PORT = free_port()
"""Where the PACS finds our node; one test process has one."""

StartNode = Callable[..., DicomNode]


@pytest.fixture
def start_node(inbox: Inbox) -> Iterator[StartNode]:
    """Starts nodes, changed as the test says."""
    nodes: list[DicomNode] = []

    def start(called: frozenset[str] = frozenset({"SCNAS"}), takes: Any = inbox, **changes: Any) -> DicomNode:
        settings = {"host": "127.0.0.1", "port": 0, "peers": PEERS} | changes
        node = DicomNode(DicomSettings(**settings), lambda: called, takes)
        node.start()
        nodes.append(node)
        return node

    yield start
    for node in nodes:
        node.stop(0)


@pytest.fixture
def node(start_node: StartNode) -> DicomNode:
    """One that takes what SENDER and the PACS send to SCNAS."""
    return start_node()


@pytest.fixture(scope="session")
def running_orthanc() -> Iterator[Orthanc]:
    """A PACS that all tests share."""
    if not PROGRAM.exists() or not PLUGIN.exists() or shutil.which("setpriv") is None:
        message = "Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)
    pacs = Orthanc({"SCNAS": NODE_PORT})
    try:
        yield pacs.start()
    finally:
        pacs.remove()


@pytest.fixture
def orthanc(running_orthanc: Orthanc) -> Orthanc:
    """The PACS, running and empty."""
    running_orthanc.clear()
    return running_orthanc
