"""Workers on a Ray cluster.

Ray keeps the workers alive: an actor whose process or node dies is started again wherever there is room. What has been
done is known by the ledger alone, so that nothing is lost with a node but the lease of one study.
"""

import logging
import os
import socket
import threading
from types import ModuleType
from typing import Any, Final, Self

from scnas_deploy.errors import ConfigError, ScnasError
from scnas_deploy.extras import require
from scnas_deploy.jobs.study_worker import StudyOrders, work

_LOG: Final = logging.getLogger(__name__)
_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_server_port_wait_time_s": "2",  # tries, of half a minute each, where twenty are the default
}
"""What Ray reads when it is imported."""
_CONNECT_SECONDS: Final = 5.0


class RayCluster:
    """A cluster that is running.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto`` for the one on this machine.

    Raises:
        ConfigError: If none answers there, or it does not take this process.
        MissingExtraError: If Ray is not installed.
    """

    def __init__(self, address: str) -> None:
        os.environ.update(_ENVIRONMENT)
        self._ray = require("ray", extra="scale", purpose="--ray")
        _connect(self._ray, address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def refuse_local_ledger(self) -> None:
        """Refuse a ledger in a file of this machine where there are other machines.

        Raises:
            ConfigError: If there are.
        """
        nodes = {node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]}
        if nodes - {self._ray.util.get_node_ip_address()}:
            raise ConfigError(
                "--ledger",
                expected="a ledger that all nodes of the Ray cluster reach",
                found="a SQLite file of one machine",
                remedy="Name a PostgreSQL database: --ledger postgresql://USER@HOST/DATABASE",
            )

    def refuse_threads(self, num_threads: int) -> None:
        """Refuse workers that fit on no node, which Ray would keep waiting.

        Raises:
            ConfigError: If no node has so many cores.
        """
        cores = max((int(node["Resources"].get("CPU", 0)) for node in self._ray.nodes() if node["Alive"]), default=0)
        if num_threads > cores:
            raise ConfigError(
                "--threads",
                expected=f"no more than the {cores} cores of the Ray cluster's largest node",
                found=str(num_threads),
                remedy="Ask for fewer threads, or start a node with more cores",
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
        """None while it runs or is being restarted, then 0 or an error's exit status."""
        if not self._ray.wait([self._answer], timeout=0)[0]:
            return None
        try:
            status, said = self._ray.get(self._answer)
        except self._ray.exceptions.RayError as error:
            status, said = ScnasError.exit_status, type(error).__name__
        if said:
            _LOG.error("a worker on Ray: %s", said)
        return int(status)

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

    def work(self, orders: StudyOrders) -> tuple[int, str]:
        """Return the exit status, and what is to be said of it; names no patient."""
        try:
            return work(orders, self._stop), ""
        except ScnasError as error:
            return error.exit_status, error.redacted

    def stop(self) -> None:
        self._stop.set()


def _connect(ray: ModuleType, address: str) -> None:
    try:
        if address != "auto":
            _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except RuntimeError as error:
        raise ConfigError(
            "--ray",
            expected="a cluster with this machine among its nodes, and with the same versions of Ray and Python",
            found=" ".join(str(error).split()),
            remedy="Call scnas batch on a node of the cluster, in the environment that Ray was started in",
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            "--ray",
            expected="HOST:PORT of a running Ray cluster, or auto",
            found=f"none that answers at {address!r}",
            remedy="Start one with `ray start --head`, and add machines with `ray start --address HEAD:6379`",
        ) from error


def _knock(address: str) -> None:
    """Ask whether anybody is there before Ray does, which would ask for a minute."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
