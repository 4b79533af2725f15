"""What keeps a server from taking work."""

import pytest

from scnas_deploy.inference.trust import Trust
from scnas_deploy.serve.health import Health
from scnas_deploy.serve.model_pool import EngineClock, ModelPool
from scnas_deploy.serve.rulebook import RuleBook
from scnas_deploy.serve.settings import Rule, ServeSettings, WorkSettings
from scnas_deploy.serve.space import Space
from tests.serve.conftest import MODEL


@pytest.fixture
def told():
    return []


@pytest.fixture
def health(told):
    return Health(told.append)


@pytest.fixture
def check_models(health, catalog, spool):
    pool = ModelPool(spool, WorkSettings(threads=1), Trust(), EngineClock())

    def check(*rules):
        health.check_models(catalog, pool, RuleBook(None, ServeSettings(spool=spool.root, rules=rules)))
        return health.troubles()

    return check


def test_it_is_not_ready_before_its_models_have_answered(health, check_models, told):
    assert not health.is_ready()
    assert check_models(Rule(name="head", model=MODEL)) == {}
    assert health.is_ready()
    assert told[-1]


def test_without_rules_the_default_model_must_answer(check_models):
    assert check_models() == {}


def test_a_missing_model_is_named(check_models):
    assert "expected an installed model" in check_models(Rule(name="head", model="missing"))["models"]


def test_a_full_disk_and_an_absent_ledger(health, spool, ledger, tmp_path, told):
    health.set("models", "")
    health.check_disk(spool, Space(spool, 10**18))
    health.check_ledger(ledger)
    assert list(health.troubles()) == ["disk"]
    health.check_disk(spool, Space(spool, 1))
    ledger.close()
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    (tmp_path / "ledger.db").mkdir()
    health.check_ledger(ledger)
    assert list(health.troubles()) == ["ledger"]
    assert told == [True, False, False, True, False]


def test_one_model_whose_engine_fails_keeps_the_others_from_nothing(health):
    health.set("models", "")
    health.set_engine("good", "")
    health.set_engine("bad", "no answer")
    assert health.is_ready()


def test_where_no_engine_opens_it_is_not_ready_until_one_does(health, catalog, spool):
    health.set("models", "")
    digest = catalog.pin(MODEL).digest
    health.set_engine(digest, "no answer")
    assert health.troubles() == {"engine": "no answer"}
    health.check_engines(ModelPool(spool, WorkSettings(threads=1), Trust(), EngineClock()))
    assert health.is_ready()


def test_a_spool_that_is_away_is_trouble(health, spool):
    health.set("models", "")
    (spool.root / "incoming").rmdir()
    health.check_disk(spool, Space(spool, 1))
    assert "the server started" in health.troubles()["disk"]
