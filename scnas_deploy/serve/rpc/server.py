"""The gRPC server: opened as the settings say, and ended in order."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as REFLECTION
from grpc_reflection.v1alpha.reflection import enable_server_reflection

from scnas_deploy.errors import ConfigError
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.serve.catalog import ModelCatalog
from scnas_deploy.serve.loops import Loop
from scnas_deploy.serve.rpc.certificates import server_credentials
from scnas_deploy.serve.rpc.guard import OPEN_CALLS, Guard
from scnas_deploy.serve.rpc.identity import Identities
from scnas_deploy.serve.rpc.service import Desk, SegmentationService
from scnas_deploy.serve.rpc.uploads import Uploads
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb
from scnas_deploy.serve.rpc.v1.segmentation_pb2_grpc import add_SegmentationServicer_to_server
from scnas_deploy.serve.running import Running
from scnas_deploy.serve.settings import GrpcSettings
from scnas_deploy.serve.space import Space
from scnas_deploy.serve.spool import Spool

MAX_MESSAGE_BYTES: Final = 4 * 2**20
_SERVICE: Final = pb.DESCRIPTOR.services_by_name["Segmentation"].full_name
_SPARE_THREADS: Final = OPEN_CALLS + 8
"""Beside those of calls, so that health is answered and what is too much is refused."""
_BACKLOG: Final = 1000
"""Calls that may wait for a thread, which is a moment's work as long as all that last are counted."""
_LOOK_S: Final = 1.0
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 * 2**10),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 3),
    ("grpc.so_reuseport", 0),  # a port that is taken is an error
)


class RpcServer:
    """A gRPC server, ready to be started once.

    Args:
        settings: See there.
        space: On the spool's disk, shared with who else takes studies.
        spool: Where they go and results lie.
        ledger: Where their jobs are.
        catalog: The models.
        running: The jobs that run in this process.
        max_attempts: At a study.
        on_refusal: Told the class of each error that a call is refused with.

    Raises:
        ConfigError: If tokens or certificates cannot be used.
    """

    def __init__(
        self,
        settings: GrpcSettings,
        space: Space,
        spool: Spool,
        ledger: Ledger,
        catalog: ModelCatalog,
        running: Running,
        *,
        max_attempts: int = 5,
        on_refusal: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings, self._stopping = settings, threading.Event()
        identities = Identities(settings)
        self._credentials = None if settings.tls is None else server_credentials(settings.tls)
        num_threads = settings.max_threads + _SPARE_THREADS
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="grpc")
        guard = Guard(identities, settings.max_threads, on_refusal)
        self._patience = Loop("grpc patience", guard.end_late, _LOOK_S, self._stopping)
        self._server = grpc.server(
            self._pool, interceptors=(guard,), options=_OPTIONS, maximum_concurrent_rpcs=num_threads + _BACKLOG
        )
        desk = Desk(
            spool=spool,
            ledger=ledger,
            catalog=catalog,
            running=running,
            identities=identities,
            uploads=Uploads(spool, space, max_bytes=settings.max_upload_bytes),
            max_attempts=max_attempts,
            stopping=self._stopping,
        )
        add_SegmentationServicer_to_server(SegmentationService(desk), self._server)  # type: ignore[no-untyped-call]  # generated
        self._health = HealthServicer()
        add_HealthServicer_to_server(self._health, self._server)
        enable_server_reflection((_SERVICE, HEALTH, REFLECTION), self._server)
        self.set_ready(False)
        self.port = 0
        """Where it listens, once it is started."""

    def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: If that is not possible at the address.
        """
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            if self._credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise ConfigError(
                address,
                expected="an address to listen at",
                found="one that cannot be had",
                remedy="Choose another port, or end who listens there",
            ) from error
        self._server.start()
        self._patience.start()

    def set_ready(self, ready: bool) -> None:
        """Have the health service say whether we take work."""
        status = health_pb2.HealthCheckResponse
        for service in ("", _SERVICE):
            self._health.set(service, status.SERVING if ready else status.NOT_SERVING)

    def stop(self, grace_s: float) -> None:
        """Take no more calls, let those under way end, and break those that take longer than the seconds given."""
        self.set_ready(False)
        self._stopping.set()
        self._server.stop(grace_s).wait()
        self._pool.shutdown()
