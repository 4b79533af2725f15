"""The server: its parts, put together, started and stopped in order."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scnas_deploy.inference.memory import available_bytes
from scnas_deploy.jobs.ledger import Ledger
from scnas_deploy.jobs.names import end_leases_of_the_gone
from scnas_deploy.results.audit import check_audit
from scnas_deploy.serve.admission import Admission
from scnas_deploy.serve.arrivals import Arrivals
from scnas_deploy.serve.catalog import ModelCatalog
from scnas_deploy.serve.closing import Closer
from scnas_deploy.serve.dicom.delivery import DeliveryHandler
from scnas_deploy.serve.dicom.node import DicomNode
from scnas_deploy.serve.dicom.reconcile import Reconciler
from scnas_deploy.serve.endings import Endings, traced_delivery
from scnas_deploy.serve.health import Health
from scnas_deploy.serve.inbox import Inbox
from scnas_deploy.serve.janitor import Janitor
from scnas_deploy.serve.logs import event, logger
from scnas_deploy.serve.loops import Loop
from scnas_deploy.serve.metrics import Metrics, StateCollector
from scnas_deploy.serve.model_pool import EngineClock, ModelPool
from scnas_deploy.serve.page.routes import Routes
from scnas_deploy.serve.page.server import PageServer
from scnas_deploy.serve.page.sights import Sights
from scnas_deploy.serve.parts import models_of, opened_ledger, trust_of
from scnas_deploy.serve.rpc.server import RpcServer
from scnas_deploy.serve.rulebook import RuleBook
from scnas_deploy.serve.running import Running
from scnas_deploy.serve.segmenting import EXPIRED, SegmentHandler, Workshop
from scnas_deploy.serve.settings import DicomSettings, ServeSettings
from scnas_deploy.serve.space import Space
from scnas_deploy.serve.spool import Spool
from scnas_deploy.serve.web import WebServer
from scnas_deploy.serve.work import DELIVER, SEGMENT
from scnas_deploy.serve.workforce import Workforce

_LOG: Final = logger("serve")
_INFO: Final = 20
_LOOK_S, _CLOSE_S, _ENGINES_S, _MODELS_S, _TIDY_S = 1.0, 1.0, 5.0, 30.0, 600.0
_LAST_S: Final = 10.0
"""Beyond the grace period, for what was asked to end at once: a patch, a word to the ledger, a call."""
_MEMORY_SHARE: Final = 0.8
"""Of what is free at the start; the rest is for models, connections and what others take later."""


class Server:
    """A server, ready to be started once.

    Args:
        settings: All that it is told.
        stop: Once it is set nothing more is taken; then comes :meth:`stop`.
        path: The file they come from, whose rules are read again when it changes; None keeps those given.

    Raises:
        ConfigError: If the ledger's URL is none.
        OutputError: If the spool cannot be made, or the audit file not be written.
    """

    def __init__(self, settings: ServeSettings, stop: threading.Event, *, path: Path | None = None) -> None:
        check_audit(settings.audit)
        self._settings = settings
        self._drain = stop
        self._spool, self._trust = Spool(settings.spool), trust_of(settings)
        self._space = Space(self._spool, settings.disk.min_free_bytes)
        self._rulebook, self._metrics, self._running = RuleBook(path, settings), Metrics(), Running()
        self._catalog = ModelCatalog(models_of(settings), self._spool, self._trust)
        self._pool = ModelPool(self._spool, settings.work, self._trust, EngineClock())
        self._ledger: Ledger | None = None
        self._health = Health(self._tell_ready)
        self._metrics.registry.register(
            StateCollector(
                lambda: self._ledger,
                free_bytes=self._spool.free_bytes,
                busy_seconds=self._pool.clock.busy_seconds,
                is_ready=self._health.is_ready,
            )
        )
        self._admission = Admission(_memory_for_studies(settings.work.max_memory))
        self._web = WebServer(settings.web, self._metrics.registry, self._health.troubles)
        self._page = self._page_server()
        self._rpc: RpcServer | None = None
        self._node: DicomNode | None = None
        self._loops: list[Loop] = []
        self._workforce: Workforce | None = None

    @property
    def web_port(self) -> int:
        """Port of health and metrics."""
        return self._web.port

    @property
    def page_port(self) -> int | None:
        """Port of the page for people, where there is one."""
        return self._page.port if self._page else None

    @property
    def grpc_port(self) -> int | None:
        """Port of the gRPC service, where there is one."""
        return self._rpc.port if self._rpc else None

    @property
    def dicom_port(self) -> int | None:
        """Port of the DICOM node, where there is one."""
        return self._node.port if self._node else None

    def start(self) -> None:
        """Open the ledger, wait for it if need be, and begin to take and do work.

        Raises:
            LedgerError: If the server is asked to stop before the ledger answers.
        """
        self._web.start()
        if self._page:
            self._page.start()
        self._ledger = ledger = opened_ledger(
            self._settings, self._drain, lambda said: self._health.set("ledger", said)
        )
        for queue in (SEGMENT, DELIVER):
            end_leases_of_the_gone(ledger, queue)
        closer = self._closer(ledger)
        closer.recover()
        self._start_doors(ledger)
        self._start_workers(ledger)
        self._start_loops(ledger, closer)
        ports = {"grpc": self.grpc_port or 0, "dicom": self.dicom_port or 0, "page": self.page_port or 0}
        event(_LOG, _INFO, "started", **ports, web=self.web_port)

    def stop(self) -> None:
        """Take nothing more, finish what is under way within the grace period, give back the rest, and end."""
        event(_LOG, _INFO, "stopping", under_way=len(self._running))
        grace_s = self._settings.work.grace_s
        deadline = time.monotonic() + grace_s
        self._drain.set()
        self._health.set("server", "stopping")
        timer = self._workforce.finish_within(grace_s) if self._workforce else None
        if self._node:
            self._node.stop(grace_s)
        if self._workforce and timer:
            self._workforce.join(deadline)
            timer.cancel()
        if self._rpc:
            self._rpc.stop(_LAST_S)
        for loop in self._loops:
            loop.join(_LAST_S / len(self._loops))
        if self._page:
            self._page.stop()
        self._web.stop()
        if self._ledger:
            self._ledger.close()
        event(_LOG, _INFO, "stopped")

    def _page_server(self) -> PageServer | None:
        told = self._settings.page
        if told is None:
            return None
        sights = Sights(
            settings=self._settings,
            ledger=lambda: self._ledger,
            spool=self._spool,
            catalog=self._catalog,
            rulebook=self._rulebook,
            running=self._running,
            admission=self._admission,
            troubles=self._health.troubles,
            busy_seconds=self._pool.clock.busy_seconds,
        )
        return PageServer(told, Routes(sights), lambda what: self._metrics.refusals.labels("page", what).inc())

    def _closer(self, ledger: Ledger) -> Closer:
        dicom = self._settings.dicom or DicomSettings()
        return Closer(
            ledger,
            self._spool,
            self._catalog,
            self._rulebook,
            quiet_s=dicom.quiet_s,
            max_attempts=self._settings.work.max_attempts,
        )

    def _start_doors(self, ledger: Ledger) -> None:
        settings = self._settings
        if settings.dicom:
            self._node = DicomNode(
                settings.dicom,
                self._rulebook.called_ae_titles,
                self._inbox(ledger),
                refused=lambda what: self._metrics.refusals.labels("dicom", what).inc(),
            )
            self._node.start()
        if settings.grpc:
            self._rpc = RpcServer(
                settings.grpc,
                self._space,
                self._spool,
                ledger,
                self._catalog,
                self._running,
                max_attempts=settings.work.max_attempts,
                on_refusal=lambda kind: self._metrics.refusals.labels("grpc", kind).inc(),
            )
            self._rpc.start()

    def _inbox(self, ledger: Ledger) -> Inbox:
        dicom = self._settings.dicom
        return Inbox(
            self._spool,
            Arrivals(ledger),
            self._metrics,
            space=self._space,
            patience_s=dicom.ledger_patience_s if dicom else 0.0,
            stop=self._drain,
        )

    def _start_workers(self, ledger: Ledger) -> None:
        work = self._settings.work
        shop = Workshop(
            ledger=ledger,
            spool=self._spool,
            models=self._pool,
            running=self._running,
            admission=self._admission,
            metrics=self._metrics,
            destinations=self._settings.destinations,
            audit=self._settings.audit,
            engine_trouble=self._health.set_engine,
        )
        self._workforce = Workforce(ledger, lease_s=work.lease_s, on_end=Endings(self._metrics), drain=self._drain)
        self._workforce.hire(SEGMENT, SegmentHandler(shop), work.studies)
        self._workforce.hire(DELIVER, traced_delivery(DeliveryHandler(self._settings, self._spool)), work.deliveries)

    def _start_loops(self, ledger: Ledger, closer: Closer) -> None:
        settings, health = self._settings, self._health
        janitor = Janitor(ledger, self._spool, keep_days=settings.disk.keep_days)
        inbox = self._inbox(ledger)
        self._add_loop("models", lambda: health.check_models(self._catalog, self._pool, self._rulebook), _MODELS_S)
        self._add_loop("state", lambda: self._look(ledger), _LOOK_S)
        if settings.dicom or settings.reconcile:
            quiet_s = (settings.dicom or DicomSettings()).quiet_s  # nobody could send while we were away
            self._add_loop("closing", closer.close_quiet, _CLOSE_S, first_after_s=quiet_s)
        self._add_loop("engines", lambda: health.check_engines(self._pool), _ENGINES_S)
        self._add_loop("expiry", lambda: ledger.cancel_expired(SEGMENT, "expires_at", EXPIRED), _LOOK_S)
        self._add_loop("janitor", janitor.tidy, _TIDY_S)
        for source in settings.reconcile:
            dicom = settings.dicom or DicomSettings(ae_title=source.called_ae_title)
            reconciler = Reconciler(
                source, inbox, dicom.ae_title, max_object_bytes=dicom.max_object_bytes, stop=self._drain
            )
            self._add_loop(f"reconcile {source.name}", reconciler.run_once, source.every_s)

    def _look(self, ledger: Ledger) -> None:
        self._health.check_ledger(ledger)
        self._health.check_disk(self._spool, self._space)

    def _add_loop(self, name: str, action: Callable[[], object], every_s: float, *, first_after_s: float = 0.0) -> None:
        loop = Loop(name, action, every_s, self._drain, first_after_s=first_after_s)
        self._loops.append(loop)
        loop.start()

    def _tell_ready(self, ready: bool) -> None:
        if self._rpc:
            self._rpc.set_ready(ready)


def _memory_for_studies(told: int | None) -> int | None:
    left = available_bytes()
    return told or (None if left is None else int(left * _MEMORY_SHARE))
