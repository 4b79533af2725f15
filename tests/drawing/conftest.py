"""The program that lays out graphs."""

import shutil

import pytest

from tests.conftest import REQUIRE_ALL


@pytest.fixture(scope="session")
def dot() -> None:
    """Graphviz is a program beside Python; CI installs it."""
    if shutil.which("dot") is None:
        message = "drawing cells needs Graphviz' program dot"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)
