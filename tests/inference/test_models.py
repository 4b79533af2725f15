"""The model folder finds what it holds, and nothing else."""

import pytest

import scnas_deploy
from scnas_deploy.errors import ConfigError, OutputError
from scnas_deploy.inference.models import ModelFolder


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "made.scnas"
    path.write_bytes(b"a package")
    return path


@pytest.fixture
def folder(tmp_path):
    return ModelFolder(tmp_path / "models")


def test_a_folder_that_does_not_exist_holds_nothing(folder):
    assert folder.names() == []
    assert folder.default() is None
    with pytest.raises(ConfigError, match="none installed"):
        folder.resolve(None)


def test_an_installed_package_is_found_by_name_and_bare(folder, package):
    target = folder.install(package, "spleen")
    assert target.read_bytes() == b"a package"
    assert folder.names() == ["spleen"]
    assert folder.default() == "spleen"
    assert folder.resolve("spleen") == folder.resolve(None) == target


def test_names_are_sorted_and_other_files_are_none(folder, package):
    for name in ("b", "a.1", "c"):
        folder.install(package, name)
    folder.set_default("b")
    (folder.path / "notes.txt").write_text("x")
    (folder.path / "d.scnas").mkdir()
    assert folder.names() == ["a.1", "b", "c"]


def test_of_several_none_is_the_default_until_one_is_chosen(folder, package):
    folder.install(package, "a")
    folder.install(package, "b")
    assert folder.default() is None
    with pytest.raises(ConfigError, match=r"2 installed \(a, b\) and no default"):
        folder.resolve(None)
    folder.set_default("b")
    assert folder.default() == "b"
    assert folder.resolve(None).name == "b.scnas"
    assert folder.resolve("a").name == "a.scnas"


def test_a_default_that_was_removed_is_not_silently_replaced(folder, package):
    folder.install(package, "a")
    folder.install(package, "b")
    folder.set_default("b")
    (folder.path / "b.scnas").unlink()
    assert folder.default() is None
    with pytest.raises(ConfigError, match="no default"):
        folder.resolve(None)


def test_a_model_that_is_not_installed_is_no_default(folder, package):
    folder.install(package, "a")
    with pytest.raises(ConfigError, match=r"an installed model \(a\) or a package file, found 'b'"):
        folder.set_default("b")
    assert folder.default() == "a"


@pytest.mark.parametrize("name", ["b", "../made", "", "a.scna"])
def test_an_unknown_name_is_refused(name, folder, package):
    folder.install(package, "a")
    with pytest.raises(ConfigError, match="an installed model"):
        folder.resolve(name)


def test_a_package_file_is_taken_by_its_path(folder, package, tmp_path):
    assert folder.resolve(str(package)) == package
    assert folder.resolve(str(tmp_path / "gone.scnas")) == tmp_path / "gone.scnas"


def test_installing_again_replaces_the_old_one_and_leaves_nothing_beside_it(folder, package):
    folder.install(package, "a")
    package.write_bytes(b"a better package")
    folder.install(package, "a")
    assert (folder.path / "a.scnas").read_bytes() == b"a better package"
    assert [path.name for path in folder.path.iterdir()] == ["a.scnas"]


def test_a_folder_that_cannot_be_made_is_an_error_with_a_way_out(package, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="SCNAS_MODELS"):
        ModelFolder(tmp_path / "file" / "models").install(package, "a")


@pytest.fixture
def with_shipped(tmp_path, package):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "brain.scnas").write_bytes(b"came with us")
    return ModelFolder(tmp_path / "models", shipped)


def test_a_shipped_model_is_taken_where_nothing_is_installed(with_shipped):
    assert (with_shipped.names(), with_shipped.installed()) == (["brain"], [])
    assert with_shipped.default() == "brain"
    assert with_shipped.resolve(None).read_bytes() == with_shipped.resolve("brain").read_bytes() == b"came with us"


def test_an_installed_model_comes_before_a_shipped_one(with_shipped, package):
    with_shipped.install(package, "liver")
    assert with_shipped.default() == "liver"
    assert with_shipped.resolve("brain").read_bytes() == b"came with us"
    with_shipped.install(package, "brain")
    assert with_shipped.resolve("brain").read_bytes() == b"a package"
    with_shipped.set_default("brain")
    assert with_shipped.resolve(None) == with_shipped.path / "brain.scnas"


def test_a_shipped_model_can_be_the_chosen_default(with_shipped, package):
    with_shipped.install(package, "liver")
    with_shipped.set_default("brain")
    assert with_shipped.resolve(None).read_bytes() == b"came with us"


def test_a_model_installed_where_scnas_models_says_is_found_from_python(exported, tmp_path, monkeypatch):
    ModelFolder(tmp_path / "models").install(exported.package, "spleen")
    monkeypatch.setenv("SCNAS_MODELS", str(tmp_path / "models"))
    assert scnas_deploy.load_model("spleen").package.path == tmp_path / "models" / "spleen.scnas"
