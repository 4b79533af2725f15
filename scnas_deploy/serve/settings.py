"""``serve.toml``: all that a server is told; read when it starts, its rules again whenever they change."""

import re
import tomllib
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from scnas_deploy.data.dicom.verdicts import Correction
from scnas_deploy.documents import Frozen
from scnas_deploy.errors import ConfigError
from scnas_deploy.results.formats import Format

AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
"""DICOM PS3.5, AE: 1 to 16 characters of the default repertoire without backslash and without outer spaces."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
"""0 lets the system choose one."""

HostName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,252}$")]

OUR_AE_TITLE: Final = "SCNAS"
_DEFAULT_FORMATS: Final = (Format.SEG, Format.SR)


class Tls(Frozen):
    """A certificate of our own, and whose certificates we ask of the other side."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    """Certificates of those who sign clients; None asks clients for none."""


class ClientTls(Frozen):
    """How we trust another side, and what we show it."""

    ca: Path | None = None
    """Who signs its certificate; None for the system's."""
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> "ClientTls":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        return self


class Peer(Frozen):
    """Who may send us objects."""

    ae_title: AeTitle
    address: IPv4Network | IPv6Network
    """One address, or a network of them such as 10.1.0.0/16."""


class DicomSettings(Frozen):
    """``[dicom]``: the DICOM node."""

    host: str = "0.0.0.0"  # noqa: S104  # in a container; peers are listed
    port: Port = 11112
    ae_title: AeTitle = OUR_AE_TITLE
    """Ours, as a sender of results too."""
    peers: tuple[Peer, ...] = ()
    """Nobody else may send."""
    tls: Tls | None = None
    quiet_s: PositiveFloat = 30.0
    """Seconds without a new object after which a study counts as complete."""
    max_associations: PositiveInt = 20
    max_object_bytes: PositiveInt = 500_000_000
    """Of one; twice as many may be in memory at a time, from all senders together."""
    ledger_patience_s: NonNegativeFloat = 20.0
    """Seconds that a sender waits for an absent ledger before it is told to try again."""


class GrpcSettings(Frozen):
    """``[grpc]``."""

    host: str = "0.0.0.0"  # noqa: S104  # in a container; clients show a certificate or a token
    port: Port = 50051
    tls: Tls | None = None
    tokens: Path | None = None
    """File of lines ``NAME SHA256-OF-THE-TOKEN``; None asks for none."""
    insecure: bool = False
    """Serve without certificates of clients or tokens; for a loopback or a mesh that does it."""
    max_upload_bytes: PositiveInt = 8_000_000_000
    max_threads: PositiveInt = 64
    """Calls at a time."""

    @model_validator(mode="after")
    def _closed(self) -> "GrpcSettings":
        _require_closed(self)
        return self


class PageSettings(Frozen):
    """``[page]``: what goes on, for people with browsers."""

    host: str = "0.0.0.0"  # noqa: S104  # in a container; people show a certificate or a token
    port: Port = 8443
    tls: Tls | None = None
    tokens: Path | None = None
    """File of lines ``NAME SHA256-OF-THE-TOKEN``; None asks for none."""
    insecure: bool = False
    """Serve without certificates of clients or tokens; for a loopback or a proxy that asks who it is."""
    names: tuple[HostName, ...] = ()
    """By which browsers may call an insecure page, beside addresses and localhost."""
    show_uids: bool = False
    """Show UIDs of studies, series and objects, which belong to patients where a PACS is at hand."""

    @model_validator(mode="after")
    def _closed(self) -> "PageSettings":
        _require_closed(self)
        return self


class WebSettings(Frozen):
    """``[web]``: health and metrics, over HTTP."""

    host: str = "0.0.0.0"  # noqa: S104  # in a container; no patient data there
    port: Port = 8080


class WorkSettings(Frozen):
    """``[work]``: how studies are segmented."""

    studies: PositiveInt = 3
    """Under way at a time: while one is in the engine, others are read and written."""
    engine: str = "auto"
    precision: str = "auto"
    threads: PositiveInt | None = None
    """Of an engine; None lets it choose."""
    max_memory: PositiveInt | None = None
    """Bytes that all studies under way may take together; None for what the machine has left when it starts."""
    max_attempts: PositiveInt = 5
    """At a study."""
    lease_s: PositiveFloat = 60.0
    grace_s: NonNegativeFloat = 30.0
    """Seconds that studies under way have to be finished when the server is asked to stop."""
    warm_models: PositiveInt = 2
    """Models that stay loaded."""
    deliveries: PositiveInt = 2
    """Results on their way out at a time."""


class DiskSettings(Frozen):
    """``[disk]``: what is kept, and when nothing more is taken."""

    min_free_bytes: PositiveInt = 5_000_000_000
    """With less free space, senders are told to try again later."""
    keep_days: NonNegativeFloat = 7.0
    """How long studies and results stay once everything about them is finished."""


class TrustSettings(Frozen):
    """``[trust]``: whose models are run."""

    keys: Path | None = None
    """Folder of public keys."""
    required: bool = False


class AttributeRule(Frozen):
    """One condition on an attribute of a series."""

    attribute: Annotated[str, Field(pattern=r"^[A-Za-z]+$")]
    """DICOM keyword, for instance 'StudyDescription'."""
    matches: str
    """Regular expression, searched without regard to case."""

    @field_validator("matches")
    @classmethod
    def _is_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        return value


class Rule(Frozen):
    """``[[rules]]``: which model serves an arriving study. Each rule that fits gives a result of its own."""

    name: Name
    called_ae_title: AeTitle | None = None
    """To whom the study was sent; None takes any."""
    match: tuple[AttributeRule, ...] = ()
    """What one of the study's series of images must meet, all of it."""
    model: Name
    priority: Literal["clinical", "archive"] = "clinical"
    """Clinical studies go first, whatever their age."""
    formats: tuple[Format, ...] = _DEFAULT_FORMATS
    destinations: tuple[Name, ...] = ()
    allow: tuple[Correction, ...] = ()
    """Corrections of planes that form no regular grid."""


class DicomDestination(Frozen):
    """``[[destinations]]`` by C-STORE."""

    kind: Literal["dicom"]
    name: Name
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    ae_title: AeTitle
    tls: ClientTls | None = None
    formats: tuple[Format, ...] = (Format.SEG, Format.LABELMAP, Format.SR, Format.RTSTRUCT, Format.PREVIEW)
    """What it takes."""


class StowDestination(Frozen):
    """``[[destinations]]`` by STOW-RS."""

    kind: Literal["stow"]
    name: Name
    url: str
    """Of the DICOMweb service, without /studies."""
    user: str | None = None
    password: Path | None = None
    """File that holds it."""
    token: Path | None = None
    """File that holds a bearer token."""
    tls: ClientTls | None = None
    formats: tuple[Format, ...] = (Format.SEG, Format.LABELMAP, Format.SR, Format.RTSTRUCT, Format.PREVIEW)


Destination = Annotated[DicomDestination | StowDestination, Field(discriminator="kind")]


class QidoSource(Frozen):
    """``[[reconcile]]`` by QIDO-RS; what is missing is fetched by WADO-RS."""

    kind: Literal["qido"]
    name: Name
    url: str
    user: str | None = None
    password: Path | None = None
    token: Path | None = None
    tls: ClientTls | None = None
    every_s: PositiveFloat = 300.0
    days: PositiveInt = 2
    """Study dates that are looked at, today included."""
    modalities: tuple[Literal["CT", "MR", "PT"], ...] = ("CT", "MR", "PT")
    called_ae_title: AeTitle = OUR_AE_TITLE
    """As if it had been sent to this one; left out, to our own."""


class FindSource(Frozen):
    """``[[reconcile]]`` by C-FIND; what is missing is asked for by C-MOVE to our own node."""

    kind: Literal["find"]
    name: Name
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    ae_title: AeTitle
    tls: ClientTls | None = None
    every_s: PositiveFloat = 300.0
    days: PositiveInt = 2
    modalities: tuple[Literal["CT", "MR", "PT"], ...] = ("CT", "MR", "PT")
    called_ae_title: AeTitle = OUR_AE_TITLE
    """Where it shall send the study, as it knows us; left out, our own."""


ReconcileSource = Annotated[QidoSource | FindSource, Field(discriminator="kind")]


class ServeSettings(Frozen):
    """All of ``serve.toml``."""

    spool: Path
    """Folder of objects, uploads and results; servers that share a ledger share it too."""
    ledger: str | None = None
    """``sqlite:///FILE`` or ``postgresql://...``; None is a file in the spool, for one server."""
    models: Path | None = None
    """Folder of installed models; None for $SCNAS_MODELS or the user's."""
    audit: Path | None = None
    """File that gets a line for each result: who, when, which UIDs, which model."""
    dicom: DicomSettings | None = None
    grpc: GrpcSettings | None = None
    page: PageSettings | None = None
    web: WebSettings = WebSettings()
    work: WorkSettings = WorkSettings()
    disk: DiskSettings = DiskSettings()
    trust: TrustSettings = TrustSettings()
    rules: tuple[Rule, ...] = ()
    destinations: tuple[Destination, ...] = ()
    reconcile: tuple[ReconcileSource, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _our_title(cls, content: Any) -> Any:
        """Have sources that name no AE title use our own."""
        if not isinstance(content, dict) or not isinstance(content.get("reconcile"), list | tuple):
            return content
        dicom = content.get("dicom")
        ours = (dicom.get("ae_title") if isinstance(dicom, dict) else None) or OUR_AE_TITLE
        named = [
            {**source, "called_ae_title": source.get("called_ae_title") or ours} if isinstance(source, dict) else source
            for source in content["reconcile"]
        ]
        return {**content, "reconcile": named}

    @model_validator(mode="after")
    def _consistent(self) -> "ServeSettings":
        _require_unique("rules", (each.name for each in self.rules))
        _require_unique("destinations", (each.name for each in self.destinations))
        _require_unique("reconcile", (each.name for each in self.reconcile))
        known = {each.name for each in self.destinations}
        for rule in self.rules:
            if missing := sorted(set(rule.destinations) - known):
                raise ValueError(f"rule {rule.name!r} names destination {missing[0]!r}, which there is none of")
            if Format.SR in rule.formats and not {Format.SEG, Format.LABELMAP} & set(rule.formats):
                raise ValueError(f"rule {rule.name!r} asks for sr without a segmentation object it refers to")
        for source in self.reconcile:
            if source.days > self.disk.keep_days:
                raise ValueError(
                    f"source {source.name!r} asks for days that are not kept: what is gone would come again"
                )
            if source.kind == "find" and self.dicom is None:
                raise ValueError(f"source {source.name!r} has studies sent to our node, and there is no [dicom]")
        return self


def read_settings(path: Path) -> ServeSettings:
    """Read ``serve.toml``; paths in it are relative to its folder.

    Raises:
        ConfigError: If it is missing, no TOML, or says what a server cannot be told.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            path, expected="a server's settings", found="no such file", remedy="Write one; docs/serving.md shows how"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(path, expected="readable TOML", found=str(error), remedy="Correct it") from error
    try:
        return _resolved(ServeSettings.model_validate(content), path.resolve().parent)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"{path}, field '{place}'",
            expected=f"valid settings ({error.error_count()} problem(s) in all)",
            found=first["msg"],
            remedy="Correct it",
        ) from error


def _resolved(settings: Frozen, folder: Path) -> "ServeSettings":
    """The same with absolute paths."""
    return ServeSettings.model_validate(_absolute(settings.model_dump(), folder))


def _absolute(value: object, folder: Path) -> object:
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, dict):
        return {name: _absolute(each, folder) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_absolute(each, folder) for each in value]
    return value


def _require_closed(door: GrpcSettings | PageSettings) -> None:
    knows_clients = door.tokens is not None or (door.tls is not None and door.tls.client_ca is not None)
    if not knows_clients and not door.insecure:
        raise ValueError("needs tokens, or tls with client_ca; or say insecure = true")


def _require_unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what}: the name {name!r} is there twice")
        seen.add(name)
