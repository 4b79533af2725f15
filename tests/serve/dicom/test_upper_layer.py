import os
import resource

import pytest

from scnas_deploy.serve.settings import Tls
from tests.serve.dicom.certificates import Certificates
from tests.serve.dicom.dcmtk import run

_SELECT_KNOWS = 1024


@pytest.fixture
def many_open_files():
    """So many that a new connection's descriptor is one that select does not know."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * _SELECT_KNOWS), hard))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] < _SELECT_KNOWS:
        opened.append(os.dup(opened[0]))
    yield
    for each in opened:
        os.close(each)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("is_secured", [False, True])
def test_many_open_files_keep_nobody_from_an_association(start_node, tmp_path, many_open_files, is_secured):
    options, settings = (), {}
    if is_secured:
        certificates = Certificates(tmp_path)
        server, client = certificates.make("server"), certificates.make("client")
        options = ("+tls", client.key, client.certificate, "+cf", certificates.ca)
        settings = {"tls": Tls(certificate=server.certificate, key=server.key)}
    node = start_node(**settings)
    echo = run("echoscu", *options, "-aet", "SENDER", "-aec", "SCNAS", "127.0.0.1", node.port)
    assert echo.returncode == 0, echo.stdout
