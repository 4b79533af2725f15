"""The spool: whole objects under names that nobody from outside chooses."""

import os
import time

import pytest

from scnas_deploy.errors import FormatError, InputError, OutputError
from scnas_deploy.serve.spool import Spool

STUDY = "ab12"


def test_an_object_is_kept_whole(spool):
    name = spool.store_object(STUDY, "1.2.3", b"content")
    assert (spool.incoming(STUDY) / name).read_bytes() == b"content"
    assert spool.objects(STUDY) == [name]


def test_the_same_object_again_is_one_object(spool):
    assert spool.store_object(STUDY, "1.2.3", b"content") == spool.store_object(STUDY, "1.2.3", b"content")
    assert len(spool.objects(STUDY)) == 1


def test_of_an_object_that_was_corrected_the_latest_counts(spool):
    first = spool.store_object(STUDY, "1.2.3", b"first")
    time.sleep(0.01)
    second = spool.store_object(STUDY, "1.2.3", b"second")
    assert spool.objects(STUDY) == [second]
    assert (spool.incoming(STUDY) / first).is_file()  # a job may still read it


def test_what_was_sent_last_counts_even_where_it_came_before(spool):
    first = spool.store_object(STUDY, "1.2.3", b"first")
    time.sleep(0.01)
    spool.store_object(STUDY, "1.2.3", b"second")
    time.sleep(0.01)
    spool.store_object(STUDY, "1.2.3", b"first")
    assert spool.objects(STUDY) == [first]


def test_a_spool_that_went_away_takes_nothing_onto_the_disk_beneath_it(spool):
    (spool.root / "incoming").rmdir()
    with pytest.raises(InputError):
        spool.store_object(STUDY, "1.2.3", b"content")
    assert not (spool.root / "incoming").exists()


def test_a_buried_study_makes_room_for_what_comes_meanwhile(spool):
    spool.store_object(STUDY, "1.2.3", b"old")
    grave = spool.bury(STUDY)
    spool.store_object(STUDY, "1.2.3", b"new")
    spool.remove(grave)
    assert len(spool.objects(STUDY)) == 1
    assert spool.bury("nothing") is None


def test_names_from_outside_reach_no_path(spool):
    spool.store_object(STUDY, "../../etc/passwd", b"content")
    assert all(path.suffix == ".dcm" and len(path.name) == 69 for path in spool.incoming(STUDY).iterdir())


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", "a\\b", "a\0", "ä", "a.b"])
def test_an_identifier_that_could_be_a_path_is_refused(spool, name):
    for place in (spool.incoming, spool.upload, spool.result, spool.model):
        with pytest.raises(FormatError):
            place(name)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "results/../../x"])
def test_a_job_leads_nowhere_else(spool, path):
    with pytest.raises(FormatError):
        spool.path(path)


def test_relative_and_back(spool):
    assert spool.path(spool.relative(spool.result("7-1"))) == spool.result("7-1")


def test_what_killed_writers_left_is_no_object_and_is_removed_when_it_is_old(spool):
    spool.store_object(STUDY, "1.2.3", b"content")
    left = spool.incoming(STUDY) / ".scnas-killed"
    left.mkdir()
    (left / "half.dcm").write_bytes(b"ha")
    os.utime(left, (0, 0))
    assert len(spool.objects(STUDY)) == 1
    spool.remove_leftovers(age_s=60)
    assert not left.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        Spool(tmp_path / "file" / "spool")


def test_what_is_removed_twice_is_gone(spool):
    folder = spool.result("7-1")
    folder.mkdir()
    spool.remove(folder)
    spool.remove(folder)
    assert not folder.exists()
