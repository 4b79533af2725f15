from pathlib import Path

import pytest

from tests.deploy.tools import find_kubectl


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return find_kubectl(tmp_path_factory.mktemp("kubectl"))
