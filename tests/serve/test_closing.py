"""Quiet studies become jobs, each as often as it has changed."""

import pytest
from pydicom.errors import BytesLengthException

from scnas_deploy.jobs.job import JobState
from scnas_deploy.results.formats import Format
from scnas_deploy.serve.arrivals import Arrivals, study_key
from scnas_deploy.serve.closing import NO_RULE, Closer
from scnas_deploy.serve.rulebook import RuleBook, fitting
from scnas_deploy.serve.settings import AttributeRule, DicomSettings, Rule, ServeSettings
from scnas_deploy.serve.work import SEGMENT, StudyWork
from tests.serve.conftest import MODEL
from tests.serve.studies import crop_objects, encoded

QUIET_S = 10.0


def rule(**settings) -> Rule:
    return Rule(**{"name": "head", "model": MODEL, **settings})


@pytest.fixture
def closer_with(ledger, spool, catalog, tmp_path):
    def make(*rules: Rule) -> Closer:
        settings = ServeSettings(spool=tmp_path / "spool", dicom=DicomSettings(), rules=rules)
        book = RuleBook(None, settings)
        return Closer(ledger, spool, catalog, book, quiet_s=QUIET_S, max_attempts=5)

    return make


def jobs(ledger):
    return ledger.listed(queues=[SEGMENT])


def outcomes(ledger):
    return [study.outcome for study in Arrivals(ledger).closed(before=float("inf"))]


def test_a_quiet_study_becomes_a_job(sending, closer_with, ledger, clock, catalog, spool):
    number = sending.send()
    closer = closer_with(rule(formats=(Format.SEG, Format.SR)))
    assert closer.close_quiet() == 0
    clock.now += QUIET_S
    assert closer.close_quiet() == 1
    (job,) = jobs(ledger)
    work = StudyWork.model_validate(job.payload)
    assert (work.rule, work.model, work.model_digest) == ("head", MODEL, catalog.pin(MODEL).digest)
    assert work.formats == (Format.SEG, Format.SR)
    assert len([spool.path(f"{work.folder}/{name}") for name in work.files]) == number
    assert outcomes(ledger) == ["rules: head"]
    assert closer.close_quiet() == 0


def test_the_same_study_sent_again_makes_no_second_job(sending, closer_with, ledger, clock):
    closer = closer_with(rule())
    for _ in range(2):
        sending.send()
        clock.now += QUIET_S
        assert closer.close_quiet() == 1
    assert len(jobs(ledger)) == 1


def test_late_objects_make_another_job(sending, closer_with, ledger, clock):
    closer = closer_with(rule())
    early = sending.send(last=-3)
    clock.now += QUIET_S
    closer.close_quiet()
    sending.send(first=-3)
    clock.now += QUIET_S
    closer.close_quiet()
    newer, older = jobs(ledger)
    assert len(older.payload["files"]) == early
    assert len(newer.payload["files"]) == early + 3
    assert newer.state is older.state is JobState.QUEUED


def test_each_rule_that_fits_makes_a_job_of_its_priority(sending, closer_with, ledger, clock):
    fits = rule(name="fits", match=(AttributeRule(attribute="Modality", matches="^mr$"),), priority="archive")
    fits_not = rule(name="not", match=(AttributeRule(attribute="Modality", matches="^CT$"),))
    elsewhere = rule(name="elsewhere", called_ae_title="OTHER")
    sending.send()
    clock.now += QUIET_S
    closer_with(fits, rule(), fits_not, elsewhere).close_quiet()
    assert {(job.payload["rule"], job.priority) for job in jobs(ledger)} == {("fits", 0), ("head", 10)}


def test_that_no_rule_fits_is_recorded_and_no_failure(sending, closer_with, ledger, clock):
    sending.send()
    clock.now += QUIET_S
    assert closer_with(rule(called_ae_title="OTHER")).close_quiet() == 1
    assert jobs(ledger) == []
    assert outcomes(ledger) == [NO_RULE]


def test_a_study_waits_for_a_model_that_is_not_there_and_stops_no_other(sending, closer_with, ledger, clock, models):
    sending.send(1, to="WAITS")
    sending.send(2)
    clock.now += QUIET_S
    closer = closer_with(rule(name="waits", called_ae_title="WAITS", model="later"), rule(called_ae_title="SCNAS"))
    assert closer.close_quiet() == 1
    (waiting,) = Arrivals(ledger).quiet(QUIET_S)
    assert waiting.outcome.startswith("waits: expected an installed model")
    models.install(models.packages()[MODEL], "later")
    again = closer_with(rule(name="waits", called_ae_title="WAITS", model="later"))
    assert again.close_quiet() == 1
    assert {job.payload["rule"] for job in jobs(ledger)} == {"waits", "head"}


def test_a_study_whose_objects_cannot_be_read_stops_no_other(sending, closer_with, ledger, clock, spool, monkeypatch):
    sending.send(1, to="BAD")
    sending.send(2)
    clock.now += QUIET_S
    match = (AttributeRule(attribute="Modality", matches="MR"),)

    def broken(rules, called, paths):
        if called == "BAD":
            raise BytesLengthException("a value of the wrong length: PLANTED")
        return fitting(rules, called, paths)

    monkeypatch.setattr("scnas_deploy.serve.closing.fitting", broken)
    assert closer_with(rule(match=match)).close_quiet() == 1
    (waiting,) = Arrivals(ledger).quiet(QUIET_S)
    assert "BytesLengthException" in waiting.outcome
    assert "PLANTED" not in waiting.outcome


def test_a_study_whose_objects_cannot_be_seen_is_not_closed(sending, closer_with, ledger, clock, spool):
    sending.send()
    clock.now += QUIET_S
    (spool.root / "incoming").rename(spool.root / "away")
    closer = closer_with(rule())
    assert closer.close_quiet() == 0
    (spool.root / "away").rename(spool.root / "incoming")
    assert closer_with(rule()).close_quiet() == 1
    assert len(jobs(ledger)) == 1


def test_a_first_object_that_was_stored_when_the_server_died_is_found(sending, closer_with, ledger, spool):
    (dataset,) = list(crop_objects(sending.data))[:1]
    spool.store_object(study_key(dataset.StudyInstanceUID, "SCNAS"), dataset.SOPInstanceUID, encoded(dataset))
    assert closer_with(rule()).recover() == 1
    assert len(Arrivals(ledger).quiet(0)) == 1


def test_an_object_that_was_stored_when_the_server_died_is_found(sending, closer_with, ledger, clock, spool):
    closer = closer_with(rule())
    sending.send(last=-1)
    clock.now += QUIET_S
    closer.close_quiet()
    (study,) = Arrivals(ledger).closed(before=float("inf"))
    spool.store_object(study.key, "9.9", b"stored, and never said")
    assert closer.recover() == 1
    clock.now += QUIET_S
    assert closer.close_quiet() == 1
    assert len(jobs(ledger)) == 2
    assert closer.recover() == 0
