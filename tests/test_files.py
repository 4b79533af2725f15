import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from scnas_deploy import files
from scnas_deploy.data.nifti import save_labels
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import OutputError
from scnas_deploy.files import (
    atomic_path,
    check_writable,
    make_folder,
    remove_leftovers,
    sha256_of,
    sha256_of_file,
    write_text,
)

FAILURES = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
)
"""Of a disk or share, and of a process with too much open."""


def fill(path):
    with path.open("wb") as file:
        for _ in range(64):
            file.write(b"x" * 4096)
            file.flush()


def write_half(target, error):
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error


def open_files_in(folder):
    """A removed file that is still open keeps its space on the disk."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(str(link.readlink()))
    return [link for link in links if link.startswith(str(folder))]


def refuse_fsync(monkeypatch, number):
    def broken(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", broken)


def test_what_the_block_writes_becomes_the_file(tmp_path):
    with atomic_path(tmp_path / "result.nii.gz") as temporary:
        assert temporary.parent.parent == tmp_path
        assert temporary.name == "result.nii.gz"
        temporary.write_bytes(b"new")
        assert not (tmp_path / "result.nii.gz").exists()
    assert (tmp_path / "result.nii.gz").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["result.nii.gz"]


def test_a_folder_too_is_there_whole_or_not_at_all_and_put_together_where_it_is_said(tmp_path):
    made, staging = tmp_path / "watched" / "model", tmp_path / "staging"
    made.parent.mkdir()
    staging.mkdir()
    with atomic_path(made, staging=staging) as temporary:
        assert temporary.parent.parent == staging
        temporary.mkdir()
        write_text(temporary / "part", "whole")
        assert list(made.parent.iterdir()) == []
    assert (made / "part").read_text() == "whole"
    assert list(staging.iterdir()) == []


def test_an_existing_file_is_replaced_at_the_end(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("existing", [True, False])
def test_an_error_inside_leaves_the_old_file_and_nothing_else(tmp_path, error, existing):
    target = tmp_path / "result.txt"
    if existing:
        target.write_text("old")
    with pytest.raises(type(error)):
        write_half(target, error)
    assert [path.name for path in tmp_path.iterdir()] == (["result.txt"] if existing else [])
    assert not existing or target.read_text() == "old"


def test_a_block_that_writes_nothing_leaves_the_old_file(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("old")
    with pytest.raises(OSError, match=r"result\.txt"), atomic_path(target):
        pass
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_writers_own_errors_are_not_disguised(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "result.txt"):
        (tmp_path / "missing").read_bytes()


def test_a_missing_folder_is_refused_before_the_block_runs(tmp_path):
    target = tmp_path / "missing" / "result.txt"
    with pytest.raises(OutputError, match="no such folder") as caught, atomic_path(target):
        pytest.fail("the block must not run")
    assert "Create it" in caught.value.remedy
    assert not target.parent.exists()


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    target = tmp_path / "result"
    target.mkdir()
    (target / "keep").touch()
    with pytest.raises(OutputError, match="an existing folder"), atomic_path(target):
        pytest.fail("the block must not run")
    assert (target / "keep").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        check_writable(tmp_path / "file" / "result.txt")


def test_a_name_too_long_for_the_disk_is_refused(tmp_path):
    with pytest.raises(OutputError):
        write_text(tmp_path / ("x" * 300), "text")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_finds_no_space_is_named(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("old")
    with pytest.raises(OutputError) as caught:
        write_half(target, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert os.strerror(errno.ENOSPC) in caught.value.found
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["result.txt"]


def test_a_full_disk_is_named_and_nothing_is_left(small_disk):
    (small_disk / "result.bin").write_bytes(b"old")
    with pytest.raises(OutputError) as caught, atomic_path(small_disk / "result.bin") as temporary:
        fill(temporary)
    assert os.strerror(errno.ENOSPC) in caught.value.found
    assert "space" in caught.value.remedy
    assert [path.name for path in small_disk.iterdir()] == ["result.bin"]
    assert (small_disk / "result.bin").read_bytes() == b"old"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_labels_that_do_not_fit_on_the_disk_leave_nothing(small_disk, suffix):
    labels = np.random.default_rng(0).integers(0, 256, (64, 64, 64), dtype=np.uint8)
    with pytest.raises(OutputError) as caught:
        save_labels(small_disk / f"labels{suffix}", labels, Volume(data=labels[None], affine_ras=np.eye(4)))
    assert "space" in caught.value.remedy
    assert list(small_disk.iterdir()) == []
    assert open_files_in(small_disk) == []


@pytest.mark.parametrize("number", FAILURES)
def test_a_disk_that_fails_at_the_last_moment_leaves_the_old_file(tmp_path, monkeypatch, number):
    target = tmp_path / "result.txt"
    target.write_text("old")
    refuse_fsync(monkeypatch, number)
    with pytest.raises(OutputError) as caught:
        write_text(target, "new")
    assert os.strerror(number) in caught.value.found
    assert ("space" in caught.value.remedy) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["result.txt"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refused)
    with pytest.raises(OutputError, match="permissions"):
        check_writable(tmp_path / "result.txt")


def test_checking_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "result.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_and_what_it_points_to_is_kept(tmp_path):
    (tmp_path / "original").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "original")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "original").read_text() == "old"
    assert (tmp_path / "link").read_text() == "new"


def test_text_is_written_as_utf_8(tmp_path):
    write_text(tmp_path / "a.txt", "Größe µm\n")
    assert (tmp_path / "a.txt").read_bytes() == "Größe µm\n".encode()


def test_a_digest_is_sha_256():
    assert sha256_of(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert sha256_of(b"").startswith("e3b0c442")


def test_a_files_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "large").write_bytes(bytes(300_000))
    assert sha256_of_file(tmp_path / "large") == sha256_of(bytes(300_000))


def test_a_folder_is_made_where_none_is_and_a_file_in_the_way_is_named(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="another output path"):
        make_folder(tmp_path / "file" / "c")


def test_only_old_leftovers_of_killed_writers_are_removed(tmp_path):
    names = (".scnas-old", ".scnas-new", "mine", ".scnas-file")
    for name in names[:3]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mask.nii.gz").touch()
    (tmp_path / names[3]).touch()
    for name in set(names) - {".scnas-new"}:
        os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path, age_s=3600.0)
    assert {path.name for path in tmp_path.iterdir()} == {".scnas-new", "mine", ".scnas-file"}
