"""Models by name now, and by digest for as long as a job needs them."""

import shutil

import pytest

from scnas_deploy.errors import ConfigError, PackageError
from scnas_deploy.inference.models import user_models
from scnas_deploy.inference.package import open_package
from scnas_deploy.inference.trust import Trust
from scnas_deploy.serve.catalog import ModelCatalog
from tests.serve.conftest import MODEL


def test_a_name_is_pinned_to_its_digest(catalog, spool):
    pinned = catalog.pin(MODEL)
    assert pinned.digest == open_package(user_models().packages()[MODEL]).digest
    assert pinned.path == spool.model(pinned.digest)
    assert open_package(pinned.path).digest == pinned.digest


def test_without_a_name_it_is_the_default(catalog):
    assert catalog.pin(None).name == MODEL


def test_a_job_keeps_its_model_when_another_one_takes_the_name(catalog, models):
    pinned = catalog.pin(MODEL)
    models.path.joinpath(f"{MODEL}.scnas").unlink()
    assert open_package(pinned.path).digest == pinned.digest
    with pytest.raises(ConfigError):
        catalog.pin(MODEL)


def test_a_model_that_is_added_is_there_at_once(catalog, models):
    models.install(user_models().packages()[MODEL], "another")
    assert catalog.pin("another").digest == catalog.pin(MODEL).digest
    assert [each.name for each in catalog.described()] == ["another", MODEL]


@pytest.mark.parametrize("name", ["../hippocampus", "/etc/passwd", "hippocampus.scnas", ""])
def test_a_name_is_never_a_path(catalog, name):
    with pytest.raises(ConfigError):
        catalog.pin(name)


def test_a_package_that_was_changed_is_refused_though_it_was_good_before(catalog, models):
    catalog.pin(MODEL)
    path = models.packages()[MODEL]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(PackageError):
        catalog.pin(MODEL)
    (described,) = catalog.described()
    assert described.problem
    assert str(path) not in described.problem


def test_a_model_that_nobody_signed_is_refused_where_that_is_asked(models, spool, tmp_path):
    (tmp_path / "keys").mkdir()
    with pytest.raises(PackageError):
        ModelCatalog(models, spool, Trust(folder=tmp_path / "keys", required=True)).pin(MODEL)


def test_what_is_known_of_a_model(catalog):
    (described,) = catalog.described()
    assert described.labels == ("Anterior", "Posterior")
    assert described.is_default
    assert 0.8 < described.dice < 1
    assert all(each > 0.99 for each in described.parity)
    assert len(described.parity) == len(described.precisions)


def test_a_package_replaced_by_itself_is_verified_again(catalog, models):
    path = models.packages()[MODEL]
    first = catalog.pin(MODEL)
    copy = path.with_suffix(".new")
    shutil.copyfile(path, copy)
    copy.replace(path)
    assert catalog.pin(MODEL) == first


def test_a_package_that_is_replaced_while_it_is_copied_gets_no_other_models_name(catalog, models, spool, monkeypatch):
    first = catalog.pin(MODEL)
    first.path.unlink()

    def copy_another(_source, target):
        target.write_bytes(b"PK another package")

    monkeypatch.setattr("scnas_deploy.serve.catalog.shutil.copyfile", copy_another)
    with pytest.raises(PackageError):
        catalog.pin(MODEL)
    assert not first.path.exists()
