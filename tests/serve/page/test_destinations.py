"""How it stands with destinations."""

import pytest

from scnas_deploy.serve.page import destinations as module
from scnas_deploy.serve.page.destinations import destination_rows
from scnas_deploy.serve.work import DELIVER, SEGMENT
from tests.serve.page.conftest import claim, deliveries, new_answer, new_study


@pytest.fixture
def rows(place):
    def look():
        return {row.name: row for row in destination_rows(place.ledger, place.settings.destinations, 2e9).rows}

    return look


@pytest.fixture
def send(place):
    def send_one(key, *names):
        place.ledger.enqueue(SEGMENT, [new_study(key)])
        lease = claim(place.ledger)
        place.ledger.done(lease, new_answer(), deliveries(lease, *names))
        return [claim(place.ledger, DELIVER) for _ in names]

    return send_one


def test_nothing_was_sent_yet(rows):
    assert {row.state for row in rows().values()} == {"nothing sent lately"}


def test_one_that_takes_results(place, rows, send):
    place.ledger.done(send("a", "pacs")[0], {"accepted": ["seg.dcm"]})
    assert (rows()["pacs"].state, rows()["pacs"].look, rows()["pacs"].waiting) == ("takes results", "good", 0)


def test_one_that_is_away_and_comes_back(place, rows, send):
    first, second = send("a", "pacs")[0], send("b", "pacs")[0]
    place.ledger.fail(first, "away", retry_in_s=60.0)
    place.ledger.fail(second, "away", retry_in_s=-1.0)
    assert (rows()["pacs"].state, rows()["pacs"].waiting, rows()["pacs"].error) == ("does not take results", 2, "away")
    place.ledger.done(claim(place.ledger, DELIVER), {"accepted": ["seg.dcm"]})
    assert (rows()["pacs"].state, rows()["pacs"].waiting) == ("results on their way", 1)


def test_one_that_refuses_for_good(place, rows, send):
    place.ledger.fail(send("a", "pacs")[0], "no such kind", retry_in_s=None)
    row = rows()["pacs"]
    assert (row.state, row.look, row.failed, row.error) == ("results were refused", "bad", 1, "no such kind")


def test_one_that_was_taken_out_of_the_settings_is_shown_as_long_as_something_waits(place, rows, send):
    send("a", "former")
    assert (rows()["former"].how, rows()["former"].waiting) == ("no longer in the settings", 1)


def test_so_many_are_counted_and_no_more(place, send, monkeypatch):
    monkeypatch.setattr(module, "MOST_COUNTED", 2)
    for number in range(3):
        send(f"{number}", "pacs")
    assert destination_rows(place.ledger, place.settings.destinations, 2e9).are_bounds
