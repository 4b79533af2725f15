"""The unit for a machine without containers, read by systemd itself."""

import configparser
import subprocess

import pytest

from tests.deploy.tools import DEPLOY, ROOT, program

UNIT = DEPLOY / "systemd" / "scnas.service"


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read(UNIT)
    return parser


@pytest.fixture(scope="module")
def service(unit) -> configparser.SectionProxy:
    return unit["Service"]


def test_systemd_reads_it(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/scnas/bin/scnas", "/bin/true"))
    read = subprocess.run([program("systemd-analyze"), "verify", unit], capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


def test_it_may_do_little(tmp_path):
    rated = [program("systemd-analyze"), "security", "--offline=true", "--threshold=25", UNIT]
    assert subprocess.run(rated, capture_output=True).returncode == 0


def test_it_writes_where_the_documents_say(service):
    assert set(service["StateDirectory"].split()) == {"scnas", "scnas/spool", "scnas/models", "scnas/audit"}
    assert "SCNAS_MODELS=/var/lib/scnas/models" in service["Environment"]
    assert "/etc/scnas/serve.toml" in service["ExecStart"]
    assert "/etc/scnas/serve.toml" in (ROOT / "docs" / "serving.md").read_text()


def test_it_waits_for_the_disk_of_its_spool(unit):
    assert unit["Unit"]["RequiresMountsFor"].removeprefix("/var/lib/") in unit["Service"]["StateDirectory"].split()


def test_a_check_that_fails_does_not_keep_it_from_starting(service):
    assert service["ExecStartPre"] == "-" + service["ExecStart"].replace("serve ", "serve --check ")


def test_there_is_time_to_finish(service):
    from scnas_deploy.serve.settings import WorkSettings

    assert int(service["TimeoutStopSec"]) > 2 * WorkSettings().grace_s
