"""A batch in a ledger: begun, taken up again, grown, changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from scnas_deploy.errors import ConfigError, InputError, OutputError
from scnas_deploy.files import sha256_of_file
from scnas_deploy.jobs import batch as batch_module
from scnas_deploy.jobs.batch import make_batch, take_up
from scnas_deploy.jobs.job import JobState
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.manifest import read_manifest
from scnas_deploy.jobs.studies import StudySettings
from scnas_deploy.jobs.summary import KEPT, check_replaceable, exit_status, save_summary, summarize

SETTINGS = StudySettings(model=Path("/m.scnas"), model_digest="d" * 64)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


@pytest.fixture
def rows(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.nii").write_text(name)
    return read_manifest(folder, tmp_path)


def begin(ledger, rows, settings=SETTINGS):
    batch = make_batch(rows, settings)
    take_up(ledger, batch, max_attempts=2)
    return batch


def claim(ledger, batch):
    return ledger.claim("worker", queue=batch.queue, lease_s=60.0)


def finish(ledger, batch):
    """Claim a job, write its mask and answer, as a worker does."""
    lease = claim(ledger, batch)
    output = Path(lease.job.payload["output"])
    output.write_text(f"mask of {output.name}")
    answer = {"schema": 1, "output": str(output), "written": [sha256_of_file(output)], "engine": "e"}
    ledger.done(lease, {**answer, "model_digest": "d" * 64, "volumes_ml": {"front": 1.5, "back": 0.0}, "seconds": 2.0})
    return output


def states(ledger, batch):
    return [summary.state for summary in summarize(ledger, batch)]


def test_the_same_call_goes_on_where_it_was_left(ledger, rows):
    batch = begin(ledger, rows)
    finish(ledger, batch)
    ledger.give_back(claim(ledger, batch))
    again = begin(ledger, rows)
    assert again.queue == batch.queue
    assert states(ledger, again) == ["done", "queued", "queued"]
    assert [claim(ledger, again).job.payload["studies"][0] for _ in range(2)] == [
        str(row.studies[0]) for row in rows[1:]
    ]


def test_what_has_failed_is_tried_again_with_all_its_attempts(ledger, rows):
    batch = begin(ledger, rows)
    ledger.fail(claim(ledger, batch), "bad", retry_in_s=None)
    for _ in range(3):
        ledger.fail(claim(ledger, batch), "broken", retry_in_s=-1.0)
    assert states(ledger, batch) == ["failed", "dead", "queued"]
    assert states(ledger, begin(ledger, rows)) == ["queued"] * 3
    assert claim(ledger, batch).job.num_attempts == 1


def test_a_study_that_was_cancelled_is_named_and_the_same_call_does_it(ledger, rows):
    batch = begin(ledger, rows[:2])
    finish(ledger, batch)
    lease = claim(ledger, batch)
    ledger.cancel(lease.job.id, "cancelled with scnas jobs")
    summaries = summarize(ledger, batch)
    assert [(summary.state, summary.error) for summary in summaries] == [
        ("done", ""),
        ("cancelled", "cancelled with scnas jobs"),
    ]
    assert exit_status(summaries) == 1
    assert states(ledger, begin(ledger, rows[:2])) == ["done", "queued"]


def test_a_study_that_has_changed_or_lost_its_mask_is_done_again(ledger, rows):
    batch = begin(ledger, rows)
    outputs = [finish(ledger, batch) for _ in rows]
    rows[0].studies[0].write_text("another scan")
    outputs[2].unlink()
    assert states(ledger, begin(ledger, rows)) == ["queued", "done", "queued"]
    payload = claim(ledger, batch).job.payload
    assert payload["stamps"] == [[12, rows[0].studies[0].stat().st_mtime_ns]]


def test_a_call_that_cannot_see_a_study_leaves_its_job_as_it_is(ledger, rows):
    batch = begin(ledger, rows)
    finish(ledger, batch)
    ledger.fail(claim(ledger, batch), "bad", retry_in_s=None)
    before = ledger.named(batch.queue, batch.rows)
    for row in (rows[0], rows[1]):
        row.studies[0].unlink()
    begin(ledger, rows)
    assert ledger.named(batch.queue, batch.rows) == before


def test_a_batch_of_which_nothing_can_be_seen_is_refused(ledger, rows):
    batch = begin(ledger, rows)
    before = ledger.named(batch.queue, batch.rows)
    for row in rows:
        row.studies[0].unlink()
    with pytest.raises(
        ConfigError, match=r"found none of the 3 studies\. Check that the folder they lie in is mounted"
    ):
        begin(ledger, rows)
    assert ledger.named(batch.queue, batch.rows) == before


def test_a_study_that_cannot_be_looked_at_stops_no_other(ledger, rows, monkeypatch):
    def looked_at(path):
        if path == rows[0].studies[0]:
            raise InputError(path, expected="a file", found="an error", remedy="Wait")
        return (1, 1)

    monkeypatch.setattr(batch_module, "stamp_of", looked_at)
    batch = begin(ledger, rows)
    assert [claim(ledger, batch).job.payload["stamps"] for _ in rows] == [[None], [[1, 1]], [[1, 1]]]


def test_a_job_that_is_queued_again_is_told_of_the_study_as_it_is_now(ledger, rows, monkeypatch):
    """Another call's worker may claim it before this call goes on."""
    batch, told = begin(ledger, rows[:1]), []
    ledger.fail(claim(ledger, batch), "bad", retry_in_s=None)
    rows[0].studies[0].write_text("another scan")
    monkeypatch.setattr(ledger, "enqueue", lambda *_: told.append(claim(ledger, batch).job.payload["stamps"]))
    begin(ledger, rows[:1])
    assert told == [[[12, rows[0].studies[0].stat().st_mtime_ns]]]


def test_a_batch_that_has_grown_or_shrunk_keeps_what_is_done(ledger, rows):
    small = begin(ledger, rows[:2])
    finish(ledger, small)
    large = begin(ledger, rows)
    assert large.queue != small.queue
    assert states(ledger, large) == ["done", "queued", "queued"]
    assert states(ledger, begin(ledger, rows[:1])) == ["done"]


@pytest.mark.parametrize("change", [{"model_digest": "e" * 64}, {"engine": "x"}, {"mirror": True}, {"force": True}])
def test_other_settings_are_another_batch(ledger, rows, change):
    batch = begin(ledger, rows)
    output = finish(ledger, batch)
    other = begin(ledger, rows, replace(SETTINGS, **change))
    assert states(ledger, other) == ["queued"] * 3
    assert claim(ledger, other).job.payload["written"] == [sha256_of_file(output)]  # ours, and may be replaced


def test_how_it_is_computed_is_no_other_batch(rows):
    same = replace(SETTINGS, threads=3, model=Path("/elsewhere.scnas"))
    assert make_batch(rows, same).rows.keys() == make_batch(rows, SETTINGS).rows.keys()


def test_what_was_written_for_another_study_is_not_ours_and_refused(ledger, rows, tmp_path):
    output = finish(ledger, begin(ledger, rows))
    (tmp_path / "elsewhere").mkdir()
    others = [replace(row, studies=(tmp_path / "elsewhere" / row.studies[0].name,)) for row in rows]
    for row in others:
        row.studies[0].write_text("another patient")
    with pytest.raises(ConfigError, match=r"such masks for rows 1\. Choose another folder with -o"):
        begin(ledger, others)
    assert claim(ledger, make_batch(others, SETTINGS)) is None
    output.write_text("drawn by hand")
    assert claim(ledger, begin(ledger, others)).job.payload["written"] == []


def test_two_batches_of_one_ledger_take_only_their_own_jobs(ledger, rows):
    first, second = begin(ledger, rows[:1]), begin(ledger, rows[1:])
    assert claim(ledger, first).job.key in first.rows
    assert claim(ledger, first) is None
    assert claim(ledger, second).job.key in second.rows


def test_urgent_studies_come_first(ledger, rows):
    batch = begin(ledger, [*rows[:2], replace(rows[2], priority=1)])
    assert claim(ledger, batch).job.payload["output"] == str(rows[2].output)


def test_the_summary_has_every_study_once(ledger, rows, tmp_path):
    batch = begin(ledger, rows)
    finish(ledger, batch)
    ledger.fail(claim(ledger, batch), "expected a scan, found none. Scan.", retry_in_s=None)
    save_summary(tmp_path / "summary.csv", summarize(ledger, batch), ["front", "back"])
    header, done, failed, queued = (tmp_path / "summary.csv").read_text().splitlines()
    assert header == "id,study,state,output,attempts,seconds,front ml,back ml,engine,model digest,error,note"
    scan, mask = rows[0].studies[0], rows[0].output
    assert done == f"a,{scan},done,{mask},1,2.000,1.5000,0.0000,e,{'d' * 64},,"
    assert failed.startswith("b,")
    assert failed.endswith(f',failed,{rows[1].output},1,,,,,,"expected a scan, found none. Scan.",')
    assert queued == f"c,{rows[2].studies[0]},queued,{rows[2].output},0,,,,,,,"


def test_only_a_summary_of_ours_is_written_over(ledger, rows, tmp_path):
    path = tmp_path / "summary.csv"
    check_replaceable(path)
    save_summary(path, summarize(ledger, begin(ledger, rows)), ["front"])
    check_replaceable(path)
    path.write_text("id,study,age\n")
    with pytest.raises(OutputError, match="found another file"):
        check_replaceable(path)


def test_a_mask_that_was_corrected_since_is_said_and_stays(ledger, rows):
    batch = begin(ledger, rows[:1])
    output = finish(ledger, batch)
    output.write_text("corrected by hand")
    (summary,) = summarize(ledger, begin(ledger, rows[:1]))
    assert summary.state == KEPT
    assert "was left there" in summary.note
    assert claim(ledger, batch) is None


def test_what_was_kept_but_is_known_for_ours_by_now_is_done_again(ledger, rows):
    """Of two batches that overlap, one comes to a mask that the other has just made."""
    small, large = begin(ledger, rows[:1]), begin(ledger, rows)
    lease = claim(ledger, large)
    told = {"schema": 1, "output": lease.job.payload["output"], "written": [], "kept": True}
    ledger.done(lease, {**told, "engine": "e", "model_digest": "d" * 64})
    rows[0].output.write_text("drawn by hand")
    assert states(ledger, begin(ledger, rows))[0] == KEPT
    finish(ledger, small)
    assert states(ledger, begin(ledger, rows))[0] == JobState.QUEUED


def test_a_mask_that_was_removed_since_is_said(ledger, rows):
    batch = begin(ledger, rows[:1])
    finish(ledger, batch).unlink()
    (summary,) = summarize(ledger, batch)
    assert (summary.state, "removed since" in summary.note) == (JobState.DONE, True)


def test_the_exit_status_says_whether_only_studies_were_bad(ledger, rows):
    batch = begin(ledger, rows)
    finish(ledger, batch)
    assert exit_status(summarize(ledger, batch)) == 1
    finish(ledger, batch)
    ledger.fail(claim(ledger, batch), "bad", retry_in_s=None)
    assert exit_status(summarize(ledger, batch)) == 3
    begin(ledger, rows)
    for _ in range(2):
        ledger.fail(claim(ledger, batch), "broken", retry_in_s=-1.0)
    assert exit_status(summarize(ledger, batch)) == 1
    begin(ledger, rows)
    finish(ledger, batch)
    assert exit_status(summarize(ledger, batch)) == 0
