"""scnas serve: the server between a PACS and the models. Imports no PyTorch."""

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import say, say_json

if TYPE_CHECKING:
    from scnas_deploy.serve.settings import ServeSettings


def serve(
    settings: Annotated[
        Path, typer.Argument(help="serve.toml: spool, doors, rules, destinations.", envvar="SCNAS_SERVE_SETTINGS")
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Check the settings, the files and the models they name, and stop.")
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Take studies by DICOM and gRPC, and bring results back; SIGTERM ends it in order."""
    from scnas_deploy.extras import check_installed
    from scnas_deploy.serve.settings import read_settings

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would write past the logs
    check_installed("grpc", "pynetdicom", "prometheus_client", "opentelemetry", extra="serve", purpose="the server")
    told = read_settings(settings)
    if check:
        _check(told, as_json=json)
        return
    from scnas_deploy.serve.logs import start_logging
    from scnas_deploy.serve.server import Server
    from scnas_deploy.serve.tracing import start_tracing, stop_tracing

    start_logging()
    start_tracing()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = Server(told, stop, path=settings)
    server.start()
    stop.wait()
    server.stop()
    stop_tracing()


def _check(told: "ServeSettings", *, as_json: bool) -> None:
    """Look at all that can be looked at without serving: files that settings name, models of rules, whose they are."""
    from scnas_deploy.inference.package import open_package
    from scnas_deploy.serve.parts import models_of, trust_of

    _check_doors(told)
    _check_others(told)
    folder, trust = models_of(told), trust_of(told)
    found = {}
    for name in dict.fromkeys(rule.model for rule in told.rules):
        package = open_package(folder.named(name))
        found[name] = {"digest": package.digest, "signed": str(trust.judge(package.path, package.seal))}
    if as_json:
        say_json({"rules": len(told.rules), "destinations": len(told.destinations), "models": found})
        return
    for name, model in found.items():
        say(f"Model '{name}': {model['digest'][:12]}, {model['signed']}.")
    say(f"{len(told.rules)} rule(s), {len(told.destinations)} destination(s): these settings can be served.")


def _check_doors(told: "ServeSettings") -> None:
    """Read our certificates and the tokens of clients, as the server does when it starts."""
    from scnas_deploy.serve.dicom.tls import server_context
    from scnas_deploy.serve.page.door import Door
    from scnas_deploy.serve.rpc.identity import Identities

    for door in (told.dicom, told.grpc, told.page):
        if door is not None and door.tls is not None:
            server_context(door.tls)
    if told.grpc is not None:
        Identities(told.grpc)
    if told.page is not None:
        Door(told.page)


def _check_others(told: "ServeSettings") -> None:
    """Read what is shown to destinations and sources, as is done when they are first needed."""
    from scnas_deploy.serve.dicom.dicomweb import DicomWeb
    from scnas_deploy.serve.dicom.tls import client_context
    from scnas_deploy.serve.settings import DicomDestination, FindSource

    for side in (*told.destinations, *told.reconcile):
        if not isinstance(side, DicomDestination | FindSource):
            with DicomWeb(side):
                pass
        elif side.tls is not None:
            client_context(side.tls)
