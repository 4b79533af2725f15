"""Whom a model comes from, from the command line."""

import contextlib
import json
import os
import pty
import shutil
import zipfile

import pytest

from scnas_deploy.inference.package import SIGNATURE, open_package
from tests.cli.conftest import CommandLine
from tests.in_process import scnas_here
from tests.inference.conftest import read_members
from tests.inference.tensorrt.tensorrt_fake import fake_gpu


class CommandLineHere(CommandLine):
    """Runs scnas in this process."""

    def __call__(self, *arguments, status=0):
        result = scnas_here(self.folder, *arguments, environment={"SCNAS_MODELS": str(self.models)})
        assert result.returncode == status, result.stderr
        return result


def trust_alice(scnas, monkeypatch) -> None:
    """Make a key, alice.pem, that this machine trusts."""
    keys = scnas.folder.parent / "keys"
    keys.mkdir()
    monkeypatch.setenv("SCNAS_TRUSTED_KEYS", str(keys))
    monkeypatch.delenv("SCNAS_KEY_PASSWORD", raising=False)
    scnas("sign", "--new-key", "alice.pem")
    shutil.move(scnas.folder / "alice.pub.pem", keys)


@pytest.fixture
def alice(scnas, monkeypatch) -> CommandLine:
    here = CommandLineHere(scnas.folder, scnas.models)
    trust_alice(here, monkeypatch)
    return here


def test_from_a_new_key_to_a_study_that_insists_on_it(scnas, exported, study, monkeypatch):
    trust_alice(scnas, monkeypatch)
    shutil.copy(exported.package, scnas.folder / "p.scnas")
    refused = scnas.refused("segment", study, "-m", "p.scnas", "--require-signature", status=3)
    assert "a trusted key (alice), found no signature" in refused
    assert "Signed p.scnas with key" in scnas("sign", "p.scnas", "--key", "alice.pem").stdout
    result = scnas("segment", study, "-m", "p.scnas", "--require-signature", "--json")
    assert "Model 'phantom', signed by alice (" in result.stderr
    written = json.loads(result.stdout)
    assert written["model_signed_by"] == "alice"
    assert written["model_digest"] == open_package(exported.package).digest


def test_a_signed_package_is_verified_installed_and_listed(alice, exported):
    alice("sign", exported.package, "--key", "alice.pem", "-o", "p.scnas")
    assert "p.scnas: whole, and signed by alice (" in alice("sign", "--verify", "p.scnas").stdout
    assert ", signed by alice (" in alice("models", "install", "p.scnas", "--require-signature").stdout
    assert "signed by alice" in json.loads(alice("models", "--json").stdout)["signed"]["phantom"]
    assert str(alice.folder.parent / "keys") in alice("doctor").stdout


def test_a_signature_by_a_stranger_is_said_and_where_one_is_required_refused(alice, exported, study):
    alice("sign", "--new-key", "mallory.pem")
    alice("sign", exported.package, "--key", "mallory.pem", "-o", "p.scnas")
    for command in (["sign", "--verify"], ["models", "install", "--require-signature"]):
        assert "found one by an unknown key" in alice.refused(*command, "p.scnas", status=3)
    assert not alice.models.exists()
    alice("models", "install", "p.scnas")
    assert "a key that is not trusted" in alice("models").stdout
    assert "a key that is not trusted" in alice("segment", study).stderr


def test_a_model_with_a_wrong_signature_is_listed_as_refused(alice, exported):
    alice("sign", exported.package, "--key", "alice.pem", "-o", "p.scnas")
    alice("models", "install", "p.scnas")
    (alice.models / "other.scnas").write_bytes(b"damaged")
    listed = alice("models")
    assert "warning: " in listed.stderr
    rows = {line.split()[0]: line for line in listed.stdout.splitlines() if line.strip()}
    assert "refused" in rows["other"]
    assert "signed by alice" in rows["phantom"]
    assert "not signed" in rows["hippocampus"]


@pytest.fixture
def forged(alice, exported):
    """A package with a signature that says it is alice's and is not."""
    alice("sign", exported.package, "--key", "alice.pem", "-o", "p.scnas")
    members = read_members(alice.folder / "p.scnas")
    signature = json.loads(members[SIGNATURE]) | {"signature": "A" * 86 + "=="}
    path = alice.folder / "forged.scnas"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, SIGNATURE: json.dumps(signature).encode()}.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    "command",
    [
        ["segment", "STUDY", "-m", "forged.scnas"],
        ["bench", "-m", "forged.scnas"],
        ["export", "forged.scnas", "--triton", "repository"],
        ["export", "forged.scnas", "--trt"],
    ],
)
def test_a_falsely_signed_package_is_used_for_nothing(command, alice, forged, study):
    with fake_gpu() as trt:
        call = [study if word == "STUDY" else word for word in command]
        assert "expected a signature by 'alice'" in alice.refused(*call, status=3)
        assert trt.builds == []


def test_a_protected_key_needs_its_passphrase(alice, exported, monkeypatch):
    monkeypatch.setenv("SCNAS_KEY_PASSWORD", "open sesame")
    alice("sign", "--new-key", "safe.pem")
    alice("sign", exported.package, "--key", "safe.pem", "-o", "p.scnas")
    monkeypatch.setenv("SCNAS_KEY_PASSWORD", "open barley")
    call = ["sign", exported.package, "--key", "safe.pem", "-o", "q.scnas"]
    assert "expected the key's passphrase" in alice.refused(*call, status=2)
    monkeypatch.delenv("SCNAS_KEY_PASSWORD")
    assert "Set SCNAS_KEY_PASSWORD" in alice.refused(*call, status=2)
    assert not (alice.folder / "q.scnas").exists()


def at_a_terminal(scnas: CommandLine, call: list[str], answers: list[str]) -> int:
    """Run scnas at a terminal of its own and answer what it asks; its exit status."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(scnas.folder)
        os.execv(scnas.program, [str(scnas.program), *call])
    for answer in answers:
        said = b""
        while b": " not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, answer.encode() + b"\n")
    with contextlib.suppress(OSError):  # the terminal is gone
        while os.read(terminal, 1000):
            pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the process becomes another program at once
def test_at_a_terminal_the_passphrase_is_asked_for(alice, exported):
    call = ["sign", str(exported.package), "--key", "safe.pem", "-o", "p.scnas"]
    assert at_a_terminal(alice, ["sign", "--new-key", "safe.pem", "--passphrase"], ["sesame", "sesame"]) == 0
    assert b"ENCRYPTED" in (alice.folder / "safe.pem").read_bytes()
    assert at_a_terminal(alice, call, ["barley"]) == 2
    assert at_a_terminal(alice, call, ["sesame"]) == 0
    assert (alice.folder / "p.scnas").is_file()


WRONG_CALLS = [
    [],
    ["p.scnas"],
    ["--verify"],
    ["--key", "alice.pem"],
    ["p.scnas", "--key", "alice.pem", "--verify"],
    ["p.scnas", "--new-key", "bob.pem"],
    ["p.scnas", "--verify", "-o", "q.scnas"],
    ["p.scnas", "--key", "alice.pem", "--passphrase"],
]


@pytest.mark.parametrize("arguments", WRONG_CALLS)
def test_a_call_that_says_two_things_or_nothing_is_refused(arguments, alice):
    message = alice.refused("sign", *arguments, status=2)
    assert "expected PACKAGE --key KEY, PACKAGE --verify, or --new-key KEY" in message
