"""Real datasets, read once for the whole session."""

from dataclasses import replace

import pytest

from scnas_deploy.data.check import check_dataset
from scnas_deploy.data.dataset import read_dataset


@pytest.fixture(scope="session")
def hippocampus(scnas_data):
    return read_dataset(scnas_data / "Task04_Hippocampus")


@pytest.fixture(scope="session")
def hippocampus_report(hippocampus):
    return check_dataset(hippocampus)


@pytest.fixture(scope="session")
def sarcoma(scnas_data):
    """Two of the CT cases: each takes a second."""
    dataset = read_dataset(scnas_data / "TaskSTS_CT")
    return replace(dataset, cases=dataset.cases[:2])


@pytest.fixture(scope="session")
def sclerosis(scnas_data):
    return read_dataset(scnas_data / "TaskMS4")
