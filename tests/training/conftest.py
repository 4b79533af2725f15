"""A working folder that search and training run in."""

from pathlib import Path

import pytest

from tests.killing import run


@pytest.fixture(scope="module")
def project(tmp_path_factory, phantom_dataset, varied_genotype) -> Path:
    """The phantom's working folder with small patches and a genotype."""
    folder = tmp_path_factory.mktemp("project")
    assert run("init", str(phantom_dataset.root), project=folder).returncode == 0
    settings = (folder / "scnas.toml").read_text().replace("memory_gib =", "patch_size = [24, 24, 24]\nmemory_gib =")
    (folder / "scnas.toml").write_text(settings)
    assert run("init", project=folder).returncode == 0
    varied_genotype.save(folder / "genotype.json")
    return folder
