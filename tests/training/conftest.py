"""A working folder that search and training run in."""

from pathlib import Path

import pytest

from tests.conftest import plan_phantom


@pytest.fixture(scope="module")
def project(tmp_path_factory, phantom_dataset, varied_genotype) -> Path:
    """The phantom's working folder with small patches and a genotype."""
    folder = tmp_path_factory.mktemp("project")
    plan_phantom(folder, phantom_dataset)
    varied_genotype.save(folder / "genotype.json")
    return folder
