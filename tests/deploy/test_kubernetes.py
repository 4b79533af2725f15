"""The manifests as kubectl renders them: valid, closed, and of one piece with the settings and the image."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import PurePosixPath
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import pytest
import yaml

from scnas_deploy.serve.settings import ServeSettings, read_settings
from tests.deploy.tools import KUBERNETES, ROOT, rendered

FOLDERS = ("base", "overlays/postgres", "overlays/gpu", "overlays/postgres-gpu")
PORTS = {"grpc": 50051, "dicom": 11112, "web": 8080}


class Manifests:
    def __init__(self, documents: list[dict], folder) -> None:
        self.all = documents
        self._folder = folder

    def one(self, kind: str, name: str = "scnas") -> dict:
        (found,) = [each for each in self.all if each["kind"] == kind and each["metadata"]["name"] == name]
        return found

    def kinds(self) -> set[str]:
        return {each["kind"] for each in self.all}

    @property
    def pod(self) -> dict:
        return self.one("Deployment")["spec"]["template"]["spec"]

    @property
    def container(self) -> dict:
        (container,) = self.pod["containers"]
        return container

    @property
    def settings(self) -> ServeSettings:
        path = self._folder / "serve.toml"
        path.write_text(self.one("ConfigMap", "scnas-settings")["data"]["serve.toml"])
        return read_settings(path)


@pytest.fixture(scope="module", params=FOLDERS)
def manifests(request, kubectl, tmp_path_factory) -> Manifests:
    return Manifests(rendered(kubectl, KUBERNETES / request.param), tmp_path_factory.mktemp("settings"))


def test_every_manifest_is_valid_to_the_letter(manifests):
    for each in manifests.all:
        kubernetes_validate.validate(each, "1.31", strict=True)
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_all_live_in_one_namespace(manifests):
    assert {each["metadata"].get("namespace") for each in manifests.all if each["kind"] != "Namespace"} == {"scnas"}


def test_selectors_meet_the_pods(manifests):
    labels = manifests.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [manifests.one("Deployment")["spec"]["selector"]["matchLabels"]]
    selectors += [each["spec"]["selector"] for each in manifests.all if each["kind"] == "Service"]
    selectors.append(manifests.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"])
    selectors.append(manifests.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"])
    assert len(selectors) == 5
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


def test_ports_are_those_of_the_settings(manifests):
    settings = manifests.settings
    assert settings.grpc is not None
    assert settings.dicom is not None
    told = {"grpc": settings.grpc.port, "dicom": settings.dicom.port, "web": settings.web.port}
    assert told == PORTS
    assert {each["name"]: each["containerPort"] for each in manifests.container["ports"]} == told
    served = [port for each in manifests.all if each["kind"] == "Service" for port in each["spec"]["ports"]]
    assert {each["name"]: each["port"] for each in served} == told
    assert all(each["targetPort"] == each["name"] for each in served)
    opened = [each["ports"] for each in manifests.one("NetworkPolicy")["spec"]["ingress"]]
    assert {port["port"] for ports in opened for port in ports} == set(told.values())


def opened(rules: list[dict], port: int) -> list[dict]:
    """Whom the rules of a network policy open a port for, as they name them."""
    ports = {"port": port, "protocol": "TCP"}
    return [each for rule in rules if ports in rule["ports"] for each in (rule.get("to") or rule["from"])]


def is_opened(rules: list[dict], port: int, address: IPv4Network | IPv6Network) -> bool:
    blocks = [ip_network(each["ipBlock"]["cidr"]) for each in opened(rules, port) if "ipBlock" in each]
    return any(address.version == block.version and address.subnet_of(block) for block in blocks)


def test_whoever_may_send_reaches_the_server(manifests):
    settings, ingress = manifests.settings, manifests.one("NetworkPolicy")["spec"]["ingress"]
    assert settings.dicom.peers
    for peer in settings.dicom.peers:
        assert is_opened(ingress, settings.dicom.port, peer.address)


def test_whoever_the_settings_name_can_be_reached(manifests):
    settings, egress = manifests.settings, manifests.one("NetworkPolicy")["spec"]["egress"]
    addresses = {peer.ae_title: peer.address for peer in settings.dicom.peers}
    for each in (*settings.destinations, *settings.reconcile):
        assert is_opened(egress, each.port, addresses[each.ae_title])
    databases = [each["namespaceSelector"]["matchLabels"] for each in opened(egress, 5432)]
    if settings.ledger is None:
        assert databases == []
    else:
        _, _, namespace = urlsplit(settings.ledger).hostname.partition(".")
        assert databases == [{"kubernetes.io/metadata.name": namespace}]
    (names,) = opened(egress, 53)
    assert names["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}


def test_the_ledger_is_who_its_certificate_says(manifests):
    if manifests.settings.ledger is not None:
        asked = parse_qs(urlsplit(manifests.settings.ledger).query)
        mounts = {each["mountPath"] for each in manifests.container["volumeMounts"]}
        assert asked["sslmode"] == ["verify-full"]
        assert str(PurePosixPath(asked["sslrootcert"][0]).parent) in mounts


def test_servers_that_are_not_ready_can_be_asked_too(manifests):
    services = [each["spec"] for each in manifests.all if each["kind"] == "Service"]
    assert [each["publishNotReadyAddresses"] for each in services] == [True, True]


def test_probes_ask_what_they_should(manifests):
    container = manifests.container
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {each["port"] for each in asked.values()} == {"web"}
    assert {name: each["path"] for name, each in asked.items()} == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }


def test_the_pod_may_do_nothing_it_needs_not(manifests):
    pod, container = manifests.pod, manifests.container
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "hostNetwork" not in pod


def test_every_volume_has_its_source_and_every_written_place_a_volume(manifests):
    pod, container, settings = manifests.pod, manifests.container, manifests.settings
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    assert {each["name"] for each in mounts.values()} == set(volumes)
    claims = {each["metadata"]["name"] for each in manifests.all if each["kind"] == "PersistentVolumeClaim"}
    named = [each["persistentVolumeClaim"]["claimName"] for each in volumes.values() if "persistentVolumeClaim" in each]
    assert set(named) == claims
    assert settings.audit is not None
    written = {str(settings.spool), str(settings.audit.parent), "/var/lib/scnas/models", "/var/cache/scnas", "/tmp"}
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} == written
    assert settings.models is None  # else it would have to be the image's SCNAS_MODELS, without the shipped model


def test_secrets_of_the_settings_are_mounted(manifests):
    mounted = {each["mountPath"] for each in manifests.container["volumeMounts"] if each.get("readOnly")}
    text = manifests.one("ConfigMap", "scnas-settings")["data"]["serve.toml"]
    secrets = set(re.findall(r'"(/run/secrets/[^"/]+)/[^"]+"', text))
    assert secrets
    assert secrets <= mounted


def test_there_is_time_to_finish(manifests):
    assert manifests.pod["terminationGracePeriodSeconds"] > 2 * manifests.settings.work.grace_s


def test_the_image_is_one_that_the_dockerfile_makes(manifests):
    dockerfile = (ROOT / "Dockerfile").read_text()
    name, _, tag = manifests.container["image"].partition(":")
    version, _, target = tag.rpartition("-")
    assert name == "scnas-deploy"
    assert f'org.opencontainers.image.version="{version}"' in dockerfile
    assert re.search(rf"^FROM runtime AS {target}$", dockerfile, re.MULTILINE)
    assert ("nvidia.com/gpu" in manifests.container["resources"]["limits"]) == (target == "gpu")


def test_several_servers_only_with_a_shared_ledger_and_spool(manifests):
    deployment, settings = manifests.one("Deployment")["spec"], manifests.settings
    shared = settings.ledger is not None
    modes = [each["spec"]["accessModes"] for each in manifests.all if each["kind"] == "PersistentVolumeClaim"]
    assert modes == [["ReadWriteMany"] if shared else ["ReadWriteOnce"]] * 3
    assert ("HorizontalPodAutoscaler" in manifests.kinds()) == shared
    assert deployment["strategy"]["type"] == ("RollingUpdate" if shared else "Recreate")
    if shared:  # where GPUs are taken, one more server would wait for ever
        one_more = int("nvidia.com/gpu" not in manifests.container["resources"]["limits"])
        assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": one_more, "maxUnavailable": 1 - one_more}
    assert deployment.get("replicas") == (None if shared else 1)
    passwords = [each["valueFrom"]["secretKeyRef"] for each in manifests.container["env"] if "valueFrom" in each]
    assert bool(passwords) == shared
    assert "password" not in (settings.ledger or "")


def test_the_settings_of_both_kinds_differ_in_the_ledger_alone():
    one, several = (read_settings(KUBERNETES / each / "serve.toml") for each in ("base", "components/postgres"))
    same = {"ledger"}
    assert several.ledger is not None
    assert several.model_dump(exclude=same) == one.model_dump(exclude=same)


@pytest.fixture(scope="module")
def autoscaler(kubectl):
    documents = rendered(kubectl, KUBERNETES / "overlays/postgres")
    return Manifests(documents, None).one("HorizontalPodAutoscaler")["spec"]


def test_the_autoscaler_grows_what_there_is(autoscaler, kubectl):
    target = autoscaler["scaleTargetRef"]
    documents = rendered(kubectl, KUBERNETES / "overlays/postgres")
    grown = Manifests(documents, None).one(target["kind"], target["name"])
    assert grown["apiVersion"] == target["apiVersion"]


def test_the_autoscaler_asks_for_a_figure_that_there_is(autoscaler):
    from scnas_deploy.jobs.job import JobState
    from scnas_deploy.serve.work import SEGMENT

    (metric,) = autoscaler["metrics"]
    (adapted,) = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text())["rules"]["external"]
    assert metric["external"]["metric"]["name"] == adapted["name"]["as"]
    assert '__name__="scnas_jobs"' in adapted["seriesQuery"]
    assert metric["external"]["metric"]["selector"]["matchLabels"] == {"queue": SEGMENT, "state": JobState.QUEUED}
