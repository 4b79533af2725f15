"""What control groups leave of memory, told from files as Linux writes them."""

from pathlib import Path

import pytest

from scnas_deploy.inference import control_groups
from scnas_deploy.inference.control_groups import group_bytes_left

MIB = 1024**2
UNLIMITED = {1: "9223372036854771712", 2: "max"}


class Groups:
    """A tree of control groups of one version, and the one that this process is in."""

    def __init__(self, folder: Path, version: int) -> None:
        self.version = version
        self.membership = folder / "membership"
        self.root = folder / "cgroup"
        self.root.mkdir()
        self.join("/")

    def join(self, path: str) -> None:
        """Be in a group; in version 1 each controller says its own."""
        lines = {1: f"5:cpu,cpuacct:/elsewhere\n4:hugetlb,memory:{path}\n0::/\n", 2: f"0::{path}\n"}
        self.membership.write_text(lines[self.version])

    def write(self, path: str, limit: int | None, use: int, reclaimable: int = 0) -> None:
        """A group's files, in MiB."""
        folder = (self.root / "memory" if self.version == 1 else self.root) / path
        folder.mkdir(parents=True, exist_ok=True)
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes")
            if self.version == 1
            else ("memory.max", "memory.current")
        )
        for name, value in zip(names, (limit, use), strict=True):
            (folder / name).write_text(UNLIMITED[self.version] if value is None else f"{value * MIB}\n")
        (folder / "memory.stat").write_text(self._statistics(reclaimable * MIB))

    def _statistics(self, reclaimable: int) -> str:
        """Version 1 tells a group's own figures too, which are not those wanted."""
        if self.version == 1:
            return (
                f"inactive_file 1\nactive_file {MIB}\ntotal_active_file {7 * MIB}\ntotal_inactive_file {reclaimable}\n"
            )
        return f"active_file {7 * MIB}\ninactive_file {reclaimable}\n"


@pytest.fixture(params=[1, 2])
def groups(request, tmp_path, monkeypatch):
    made = Groups(tmp_path, request.param)
    monkeypatch.setattr(control_groups, "_ROOT", made.root)
    monkeypatch.setattr(control_groups, "_MEMBERSHIP", made.membership)
    control_groups._groups.cache_clear()
    yield made
    control_groups._groups.cache_clear()


def test_without_groups_and_without_a_limit_nothing_is_left_out(groups):
    assert group_bytes_left() is None
    groups.write("", None, 100)
    control_groups._groups.cache_clear()
    assert group_bytes_left() is None


def test_cached_files_that_would_be_given_up_are_not_in_the_way(groups):
    groups.write("", 300, 250, reclaimable=150)
    assert group_bytes_left() == 200 * MIB


def test_more_is_never_left_than_the_limit_and_never_less_than_nothing(groups):
    groups.write("", 300, 100, reclaimable=150)
    assert group_bytes_left() == 300 * MIB
    groups.write("", 300, 400)
    assert group_bytes_left() == 0


@pytest.mark.parametrize(
    ("outer", "inner", "left"), [(500, 300, 200), (300, 500, 100), (None, 300, 200), (300, None, 100)]
)
def test_the_narrowest_of_the_groups_around_the_process_counts(outer, inner, left, groups):
    groups.join("/user/session/job")
    groups.write("user", outer, 200)
    groups.write("user/session/job", inner, 100)
    assert group_bytes_left() == left * MIB


def test_in_a_container_that_is_told_the_hosts_path_its_root_is_the_group(groups):
    groups.join("/docker/0123456789ab")
    groups.write("", 300, 100)
    assert group_bytes_left() == 200 * MIB


def test_a_limit_that_changes_is_seen(groups):
    groups.write("", 300, 100)
    assert group_bytes_left() == 200 * MIB
    groups.write("", 400, 100)
    assert group_bytes_left() == 300 * MIB


def test_a_system_without_control_groups_limits_nothing(groups):
    groups.membership.unlink()
    assert group_bytes_left() is None
