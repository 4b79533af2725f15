"""What has been received is on the disk and in the ledger."""

import threading

import pytest

from scnas_deploy.errors import InputError, LedgerError, SpoolFullError
from scnas_deploy.serve.arrivals import Arrivals, study_key
from scnas_deploy.serve.inbox import Inbox
from scnas_deploy.serve.space import Space
from tests.serve.studies import crop_objects


def uid(sending):
    return next(crop_objects(sending.data)).StudyInstanceUID


def test_a_study_is_on_the_disk_and_in_the_ledger(sending, spool, ledger, metrics):
    number = sending.send()
    study = Arrivals(ledger).find(study_key(uid(sending), "SCNAS"))
    assert study.version == len(spool.objects(study.key)) == number
    assert sending.inbox.known(uid(sending), "SCNAS") == number
    assert metrics.registry.get_sample_value("scnas_objects_received_total") == number
    assert metrics.registry.get_sample_value("scnas_studies_received_total") == 1


def test_of_what_never_came_nothing_is_known(sending):
    sending.send(to="OTHER")
    assert sending.inbox.known(uid(sending), "SCNAS") == 0


def test_a_full_disk_takes_nothing(spool, ledger, metrics, scnas_data, sending):
    full = Inbox(spool, Arrivals(ledger), metrics, space=Space(spool, 10**18), patience_s=0, stop=threading.Event())
    sending.inbox = full
    with pytest.raises(SpoolFullError):
        sending.send(last=1)
    assert not any(spool.incoming("x").parent.iterdir())


def test_an_absent_ledger_is_said_and_the_object_can_be_sent_again(sending, ledger, spool, tmp_path):
    (tmp_path / "ledger.db").rename(tmp_path / "away.db")
    ledger.close()
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerError):
        sending.send(last=1)
    (tmp_path / "ledger.db").rmdir()
    (tmp_path / "away.db").rename(tmp_path / "ledger.db")
    sending.send(last=1)
    assert sending.inbox.known(uid(sending), "SCNAS") == 1


def test_a_spool_that_is_away_is_said(sending, spool):
    folder = spool.root / "incoming"
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(InputError):
        sending.send(last=1)


def test_an_object_whose_study_is_forgotten_meanwhile_is_stored_again(sending, spool, ledger, clock, monkeypatch):
    """As where the janitor takes the folder away between the disk and the ledger."""
    touch, arrivals = Arrivals.touch, Arrivals(ledger)

    def touch_late(self, *sent):
        monkeypatch.setattr(Arrivals, "touch", touch)
        spool.remove(spool.bury(study_key(sent[0], sent[1])))
        return touch(self, *sent)

    monkeypatch.setattr(Arrivals, "touch", touch_late)
    sending.send(last=1)
    key = study_key(uid(sending), "SCNAS")
    assert len(spool.objects(key)) == 1
    assert arrivals.find(key) is not None
