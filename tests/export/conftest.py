"""What the export's tests share."""

import copy

import pytest


@pytest.fixture
def network(exported):
    """The exported network, free to be changed."""
    return copy.deepcopy(exported.network).cpu()
