"""Finding a Ray cluster; what runs on one is tested in test_several_machines.py."""

import sys

import pytest

from scnas_deploy.errors import ConfigError, MissingExtraError
from scnas_deploy.jobs import ray_cluster
from scnas_deploy.jobs.ray_cluster import RayCluster


@pytest.mark.parametrize("address", ["127.0.0.1:1", "local", "nonsense", "x:y"])
def test_where_no_cluster_is_it_says_how_to_start_one(address):
    with pytest.raises(ConfigError, match="Start one with `ray start --head`"):
        RayCluster(address)


class FakeRay:
    """What a cluster of two nodes says of itself."""

    def __init__(self, refusal=None):
        self.refusal = refusal

    def init(self, **_):
        if self.refusal is not None:
            raise self.refusal

    def nodes(self):
        sizes = [({"CPU": 4.0}, True), ({"CPU": 16.0}, True), ({"CPU": 64.0}, False), ({}, True)]
        return [{"Resources": resources, "Alive": alive} for resources, alive in sizes]

    def shutdown(self):
        pass


@pytest.fixture
def fake(monkeypatch):
    """A cluster that takes us, unless it is told to refuse."""
    ray = FakeRay()
    monkeypatch.setattr(ray_cluster, "require", lambda *_, **__: ray)
    return ray


def test_a_cluster_that_does_not_take_us_is_quoted(fake):
    fake.refusal = RuntimeError("Version mismatch: the cluster was started with:\n    Ray: 2.9")
    with pytest.raises(ConfigError, match=r"Version mismatch: the cluster was started with: Ray: 2\.9") as caught:
        RayCluster("auto")
    assert "on a node of the cluster" in caught.value.remedy


def test_workers_that_fit_on_no_node_are_refused(fake):
    with RayCluster("auto") as cluster:
        cluster.refuse_threads(16)
        with pytest.raises(ConfigError, match=r"no more than the 16 cores .* found 17"):
            cluster.refuse_threads(17)


def test_without_ray_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"scnas-deploy\[scale\]"):
        RayCluster("auto")
