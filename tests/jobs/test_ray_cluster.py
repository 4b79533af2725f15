"""Finding a Ray cluster; what runs on one is tested in test_several_machines.py."""

import sys

import pytest

from scnas_deploy.errors import ConfigError, MissingExtraError
from scnas_deploy.jobs.ray_cluster import RayCluster


@pytest.mark.parametrize("address", ["127.0.0.1:1", "local", "nonsense", "x:y"])
def test_where_no_cluster_is_it_says_how_to_start_one(address):
    with pytest.raises(ConfigError, match="Start one with `ray start --head`"):
        RayCluster(address)


def test_without_ray_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"scnas-deploy\[scale\]"):
        RayCluster("auto")
