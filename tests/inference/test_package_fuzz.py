"""Whatever happens to a package's bytes, it opens as it was written or is refused: no other error, and no hang."""

import random
import resource
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from scnas_deploy.errors import PackageError, ScnasError
from scnas_deploy.export.signing import sign_package
from scnas_deploy.inference.keys import read_private_key, write_key_pair
from scnas_deploy.inference.package import CANARY, GENOTYPE, MANIFEST, PLAN, SIGNATURE, ModelPackage, open_package
from scnas_deploy.inference.trust import Trust
from tests.inference.conftest import read_members, rewrite
from tests.inference.test_package import assert_same_content, write_zip

DIRECTORY_BYTES = 900
"""The end of the file, where a byte means most."""
MOST_SECONDS = 20.0
"""A package takes hundredths of one."""


@pytest.fixture
def signed(exported, tmp_path) -> Path:
    write_key_pair(tmp_path / "alice.pem")
    (tmp_path / "keys").mkdir()
    (tmp_path / "alice.pub.pem").rename(tmp_path / "keys" / "alice.pub.pem")
    sign_package(exported.package, read_private_key(tmp_path / "alice.pem", str), tmp_path / "signed.scnas")
    return tmp_path / "signed.scnas"


@pytest.fixture
def demanding(tmp_path) -> Trust:
    return Trust(folder=tmp_path / "keys", required=True)


@pytest.fixture
def bounded_memory():
    """Refuse 6 GiB beyond what the process has: no package may make the reader ask for more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 6 * 1024**3, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def bounded_time():
    def end(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def damage(data: bytes, rng: random.Random, tail: int) -> bytes:
    """Bytes changed, in all or near the end; or a part cut off, zeroed, moved or doubled."""
    kind = rng.choice(["flip", "flip the end", "flip the end", "cut", "drop", "zero", "double", "noise"])
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.choice([1, 4, 100, 10_000]))
    parts = {
        "cut": lambda: data[:first],
        "drop": lambda: data[:first] + data[last:],
        "zero": lambda: data[:first] + bytes(last - first) + data[last:],
        "double": lambda: data[:last] + data[first:],
        "noise": lambda: data[:first] + rng.randbytes(last - first) + data[last:],
    }
    if kind in parts:
        return parts[kind]()
    changed = bytearray(data)
    begin = max(0, len(data) - tail) if kind == "flip the end" else 0
    for _ in range(rng.randrange(1, 9)):
        changed[rng.randrange(begin, len(data))] = rng.randrange(256)
    return bytes(changed)


def open_damaged_files(signed: Path, trust: Trust, count: int, seed: int) -> int:
    """How many of so many damaged files were refused; the others are as they were written."""
    rng, data, original = random.Random(seed), signed.read_bytes(), open_package(signed)
    path, refused = signed.with_name("p.scnas"), 0
    for _ in range(count):
        path.write_bytes(damage(data, rng, DIRECTORY_BYTES))
        with bounded_time():
            try:
                package = open_package(path)
                assert trust.judge(path, package.seal).signer == "alice"
            except ScnasError:
                refused += 1
            else:
                assert_same_content(package, original)
    return refused


def open_damaged_members(signed: Path, trust: Trust, count: int, seed: int) -> int:
    """How many of so many packages were refused whose digests are right again; alice's signature fits none of them.

    This is what somebody with bad intent writes: the damage reaches the parsers of the members.
    """
    rng, members, original = random.Random(seed), read_members(signed), open_package(signed)
    path, refused = signed.with_name("p.scnas"), 0
    for number in range(count):
        name = (MANIFEST, PLAN, GENOTYPE, CANARY, SIGNATURE)[number % 5]
        changed = damage(members[name], rng, 1000)
        if name in (MANIFEST, SIGNATURE):
            write_zip(path, (members | {name: changed}).items())
        else:
            rewrite(signed, path, members={name: changed}, without=[SIGNATURE])
        with bounded_time():
            try:
                package = open_package(path)
            except PackageError:
                refused += 1
            else:
                require_refusal_or_the_same(package, original, trust)
    return refused


def require_refusal_or_the_same(package: ModelPackage, original: ModelPackage, trust: Trust) -> None:
    """A signature.json may be laid out anew, as long as it says the same."""
    if package.seal == original.seal:
        assert_same_content(package, original)
        return
    with pytest.raises(PackageError):
        trust.judge(package.path, package.seal)


def test_some_damaged_packages(signed, demanding, bounded_memory):
    assert open_damaged_files(signed, demanding, 60, 1) > 40
    assert open_damaged_members(signed, demanding, 60, 1) > 30


@pytest.mark.soak
def test_thousands_of_damaged_packages(signed, demanding, bounded_memory):
    assert open_damaged_files(signed, demanding, 4000, 2) > 3000
    assert open_damaged_members(signed, demanding, 4000, 2) > 2000
