"""Workers on a Ray cluster.

Ray keeps the workers alive: an actor whose process or node dies is started again wherever there is room. What has been
done is known by the ledger alone, so that nothing is lost with a node but the lease of one study.
"""

import os
import threading
from types import ModuleType
from typing import Any

from scnas_deploy.errors import ConfigError
from scnas_deploy.extras import require
from scnas_deploy.jobs.schema import is_sqlite
from scnas_deploy.jobs.study_worker import StudyOrders, work


class RayCluster:
    """A cluster that is running.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto`` for the one on this machine.

    Raises:
        ConfigError: If none answers there.
        MissingExtraError: If Ray is not installed.
    """

    def __init__(self, address: str) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported
        self._ray = require("ray", extra="scale", purpose="--ray")
        _connect(self._ray, address)

    def __enter__(self) -> "RayCluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def check_ledger(self, url: str) -> None:
        """Refuse a ledger that not all nodes can reach.

        Raises:
            ConfigError: If it is a file of this machine, and there are other machines.
        """
        nodes = {node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]}
        if is_sqlite(url) and nodes - {self._ray.util.get_node_ip_address()}:
            raise ConfigError(
                "--ledger",
                expected="a ledger that all nodes of the Ray cluster reach",
                found="a SQLite file of one machine",
                remedy="Name a PostgreSQL database: --ledger postgresql://USER@HOST/DATABASE",
            )

    def start(self, orders: StudyOrders) -> "RayRunner":
        """Start a worker somewhere in the cluster."""
        return RayRunner(self._ray, orders)


class RayRunner:
    """A worker on a Ray cluster; see :class:`scnas_deploy.jobs.crew.Runner`."""

    def __init__(self, ray: ModuleType, orders: StudyOrders) -> None:
        self._ray = ray
        actor = ray.remote(_StudyActor).options(
            num_cpus=orders.studies.threads or 1,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=2,  # to be asked to stop while it works
            scheduling_strategy="SPREAD",
        )
        self._actor: Any = actor.remote()
        self._answer = self._actor.work.remote(orders)

    def status(self) -> int | None:
        """None while it runs or is being restarted, then 0, or 1 where it ended by an error."""
        if not self._ray.wait([self._answer], timeout=0)[0]:
            return None
        try:
            return int(self._ray.get(self._answer))
        except self._ray.exceptions.RayError:
            return 1

    def ask_to_stop(self) -> None:
        """Tell it between two patches."""
        self._actor.stop.remote()

    def kill(self) -> None:
        """End it without a restart."""
        self._ray.kill(self._actor)


class _StudyActor:
    """What runs on a node."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def work(self, orders: StudyOrders) -> int:
        return work(orders, self._stop)

    def stop(self) -> None:
        self._stop.set()


def _connect(ray: ModuleType, address: str) -> None:
    if address == "local":  # to Ray, a cluster of its own that ends with this command
        raise _no_cluster(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError) as error:
        raise _no_cluster(address) from error


def _no_cluster(address: str) -> ConfigError:
    return ConfigError(
        "--ray",
        expected="the address of a running Ray cluster, or auto",
        found=f"none that answers at {address!r}",
        remedy="Start one with `ray start --head`, and add machines with `ray start --address HEAD:6379`",
    )
