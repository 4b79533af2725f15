"""The compose file is of one piece with the settings, the image and the files it mounts."""

import json
import os
import re
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from scnas_deploy.serve.settings import ServeSettings, read_settings
from tests.deploy.tools import DEPLOY, ROOT, program

GUIDE = (DEPLOY / "README.md").read_text()


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def settings() -> ServeSettings:
    return read_settings(DEPLOY / "settings" / "serve.toml")


@pytest.fixture(scope="module")
def orthanc() -> dict:
    return json.loads((DEPLOY / "orthanc" / "orthanc.json").read_text())


@pytest.mark.parametrize("profile", [(), ("--profile=postgres",)])
def test_compose_itself_reads_it(profile):
    command = [program("docker-compose"), f"--file={DEPLOY / 'compose.yaml'}", *profile, "config", "--quiet"]
    chosen = os.environ | {"ORTHANC_USER": "someone", "ORTHANC_PASSWORD": "something"}
    read = subprocess.run(command, env=chosen, capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


def test_every_image_is_pinned_and_by_its_short_name(compose):
    for service in compose["services"].values():
        assert re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)?:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"])


def test_all_that_is_named_is_defined(compose):
    for kind in ("volumes", "networks", "secrets"):
        named = {each.split(":")[0] for service in compose["services"].values() for each in service.get(kind, ())}
        assert {each for each in named if not each.startswith(".")} == set(compose.get(kind, {}))


def test_mounted_files_are_there(compose):
    mounted = [each for service in compose["services"].values() for each in service["volumes"] if each[0] == "."]
    assert mounted
    for each in mounted:
        source, _, mode = each.split(":")
        assert (DEPLOY / source).exists() or f"mkdir deploy/{source.removeprefix('./')}" in GUIDE
        assert mode == "ro"


def test_the_server_may_do_nothing_it_needs_not(compose):
    server = compose["services"]["scnas"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert server["user"] == "10001:10001"
    assert f"USER {server['user']}" in (ROOT / "Dockerfile").read_text()
    assert "network_mode" not in server


def test_places_that_are_written_have_volumes(compose, settings):
    server = compose["services"]["scnas"]
    writable = {Path(each.split(":")[1]) for each in server["volumes"] if not each.endswith(":ro")}
    temporary = {Path(each.split(":")[0]) for each in server["tmpfs"]}
    image = dict(re.findall(r"(SCNAS_CACHE|SCNAS_MODELS|HOME)=(\S+)", (ROOT / "Dockerfile").read_text()))
    assert settings.audit is not None
    assert settings.models is None
    kept = {settings.spool, settings.audit.parent, Path(image["SCNAS_MODELS"]), Path(image["SCNAS_CACHE"])}
    assert writable == kept
    assert temporary == {Path("/tmp"), Path(image["HOME"])}


def test_tokens_are_in_a_folder_that_is_mounted(compose, settings):
    places = [each.split(":") for each in compose["services"]["scnas"]["volumes"]]
    folders = {Path(target): DEPLOY / source for source, target, *_ in places if source.startswith(".")}
    assert settings.grpc is not None
    assert folders[settings.grpc.tokens.parent] == DEPLOY / "secrets"
    assert f"deploy/secrets/{settings.grpc.tokens.name}" in GUIDE


def test_ports_are_those_of_the_settings(compose, settings):
    published = {int(each.split(":")[-1]) for each in compose["services"]["scnas"]["ports"]}
    assert settings.dicom is not None
    assert settings.grpc is not None
    assert published == {settings.grpc.port, settings.web.port}
    exposed = re.search(r"^EXPOSE (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert exposed is not None
    assert set(map(int, exposed[1].split())) == published | {settings.dicom.port}


def test_only_the_pacs_is_open_to_other_machines(compose):
    published = [each for service in compose["services"].values() for each in service.get("ports", ())]
    assert [each for each in published if not each.startswith("127.0.0.1:")] == ["4242:4242"]


def test_server_and_orthanc_know_each_other(compose, settings, orthanc):
    (network,) = compose["networks"]["pacs"]["ipam"]["config"]
    (peer,) = settings.dicom.peers
    assert peer.address == ip_network(compose["services"]["orthanc"]["networks"]["pacs"]["ipv4_address"])
    assert peer.address.subnet_of(ip_network(network["subnet"]))
    assert not peer.address.overlaps(ip_network(network["ip_range"]))  # nobody else is given it
    assert peer.ae_title == orthanc["DicomAet"]
    assert orthanc["DicomModalities"]["scnas"] | {"Host": "scnas"} == {
        "AET": settings.dicom.ae_title,
        "Host": "scnas",
        "Port": settings.dicom.port,
        **dict.fromkeys(("AllowEcho", "AllowFind", "AllowMove", "AllowStore"), True),
    }
    for other in (*settings.destinations, *settings.reconcile):
        assert (other.host, other.port, other.ae_title) == ("orthanc", orthanc["DicomPort"], orthanc["DicomAet"])
    assert "orthanc" in compose["services"]


def test_there_is_time_to_finish(compose, settings):
    assert int(compose["services"]["scnas"]["stop_grace_period"].removesuffix("s")) > 2 * settings.work.grace_s


def test_passwords_are_asked_for_and_not_written(compose):
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    example = (DEPLOY / ".env.example").read_text()
    assert asked == set(re.findall(r"^([A-Z_]+)=$", example, re.MULTILINE))


def test_prometheus_asks_the_server(compose, settings):
    read = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = read["scrape_configs"]
    (asked,) = job["dns_sd_configs"]
    assert asked["names"] == ["scnas"]
    assert asked["port"] == settings.web.port
    mounted = [each.split(":")[1] for each in compose["services"]["prometheus"]["volumes"]]
    assert set(read["rule_files"]) <= set(mounted)
