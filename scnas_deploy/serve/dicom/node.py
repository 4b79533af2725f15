"""The DICOM node: takes images from those who may send them, and says so only once they are safe."""

import io
import logging
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from scnas_deploy.errors import ConfigError, FormatError, LedgerError
from scnas_deploy.serve.dicom.buffers import BoundedBuffer
from scnas_deploy.serve.dicom.library import pynetdicom
from scnas_deploy.serve.dicom.objects import IMAGE_CLASSES, TRANSFER_SYNTAXES, identify
from scnas_deploy.serve.dicom.tls import server_context
from scnas_deploy.serve.dicom.upper_layer import MAX_PDU_BYTES, NETWORK_S, Listener
from scnas_deploy.serve.inbox import Arrival, Inbox
from scnas_deploy.serve.logs import event, in_words, logger
from scnas_deploy.serve.settings import DicomSettings

_LOG: Final = logger("serve.dicom")
_VERIFICATION: Final = "1.2.840.10008.1.1"
_ASSOCIATE_S: Final = 30.0
_LOOK_S: Final = 0.05
_SPARE: Final = 8
"""Connections beyond the associations allowed, so that those too many are answered."""

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
"""PS3.4, table B.2-1: the sender may try again later."""
MISMATCH: Final = 0xA900
MALFORMED: Final = 0xC000
FAILED: Final = 0xC001

_REASONS: Final = {OUT_OF_RESOURCES: "no room", MISMATCH: "mismatch", MALFORMED: "malformed", FAILED: "failure"}
_REJECTIONS: Final = {
    "calling AE title": (0x01, 0x01, 0x03),
    "called AE title": (0x01, 0x01, 0x07),
    "failure": (0x02, 0x01, 0x01),
}
"""Result, source and reason of PS3.8, table 9-21."""


class DicomNode:
    """A Storage SCP for images of CT, MR and PET, that also answers C-ECHO.

    Args:
        settings: See there. Nobody may send but the peers.
        called_ae_titles: Gives the AE titles that we answer to, asked for each association.
        inbox: Takes the objects.
        refused: Told in a word or two why a connection, an association or an object was refused.
    """

    def __init__(
        self,
        settings: DicomSettings,
        called_ae_titles: Callable[[], frozenset[str]],
        inbox: Inbox,
        *,
        refused: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._settings, self._called_ae_titles = settings, called_ae_titles
        self._inbox, self._refused = inbox, refused
        self._server: Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it has been started."""
        assert self._server is not None
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: If its certificates or its port cannot be used.
        """
        try:
            self._server = self._listener()
        except OSError as error:
            raise ConfigError(
                f"dicom.port {self._settings.port}",
                expected="a port that is free",
                found=error.strerror or type(error).__name__,
                remedy="Choose another host or port, or end what uses it",
            ) from error
        listen = self._server.serve_forever
        self._thread = threading.Thread(target=listen, args=(_LOOK_S,), name="dicom", daemon=True)
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Take no more associations, let those there are end, and break them off after so many seconds."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        until = time.monotonic() + grace_s
        while self._server.active_associations and time.monotonic() < until:
            time.sleep(_LOOK_S)
        for association in self._server.active_associations:
            association.abort()
            association.join(_ASSOCIATE_S)

    def _listener(self) -> Listener:
        settings, events = self._settings, pynetdicom().evt
        return Listener(
            self._application(),
            (settings.host, settings.port),
            _contexts(),
            None if settings.tls is None else server_context(settings.tls),
            [(events.EVT_REQUESTED, self._on_request), (events.EVT_C_STORE, self._on_store)],
            is_known=self._is_address_known,
            refused=lambda reason, remote: self._note("refused a connection", reason, remote),
            max_connections=settings.max_associations + _SPARE,
            max_object_bytes=settings.max_object_bytes,
        )

    def _application(self) -> Any:
        application = pynetdicom().AE(ae_title=self._settings.ae_title)
        application.maximum_associations = self._settings.max_associations
        application.maximum_pdu_size = MAX_PDU_BYTES
        application.acse_timeout, application.dimse_timeout = _ASSOCIATE_S, NETWORK_S
        application.network_timeout = NETWORK_S
        return application

    def _is_address_known(self, address: str) -> bool:
        parsed = _address(address)
        return any(parsed in peer.address for peer in self._settings.peers)

    def _on_request(self, asked: Any) -> None:
        """Refuse an association that is not for us, or of somebody who may not send."""
        remote = asked.assoc.requestor.address_info.address
        try:
            refusal = self._refusal(asked.assoc.requestor.primitive, _address(remote))
            error = ""
        except Exception as caught:  # noqa: BLE001  # the library would go on as if nothing were wrong
            refusal, error = "failure", in_words(caught)
        if refusal is None:
            return
        try:
            self._note("refused an association", refusal, remote, error=error)
        finally:
            asked.assoc.acse.send_reject(*_REJECTIONS[refusal])
            asked.assoc.kill()

    def _refusal(self, request: Any, address: IPv4Address | IPv6Address) -> str | None:
        if request.called_ae_title not in self._called_ae_titles():
            return "called AE title"
        titles = {peer.ae_title for peer in self._settings.peers if address in peer.address}
        return None if request.calling_ae_title in titles else "calling AE title"

    def _note(self, what: str, reason: str, remote: str, **more: str) -> None:
        """Log and count a refusal; nothing that the other side has said is in it."""
        event(_LOG, logging.WARNING, what, reason=reason, remote=remote, **more)
        self._refused(reason)

    def _on_store(self, stored: Any) -> int:
        """Take an object; what is answered is what has become of it."""
        remote = stored.assoc.requestor.address_info.address
        try:
            status, why = self._store(stored)
        except FormatError as error:
            status, why = MALFORMED, error.redacted
        except (OSError, MemoryError, LedgerError) as error:  # by no fault of the object
            status, why = OUT_OF_RESOURCES, in_words(error)
        except Exception as error:  # noqa: BLE001  # the sender is to keep its object, whatever it is
            status, why = FAILED, in_words(error)
        if status != SUCCESS:
            self._note("refused an object", _REASONS[status], remote, status=f"{status:04X}", error=why)
        return status

    def _store(self, stored: Any) -> tuple[int, str]:
        request, buffer = stored.request, stored.request.DataSet
        if not isinstance(buffer, BoundedBuffer):
            return MALFORMED, "it has no data set"
        if buffer.overflow:
            return OUT_OF_RESOURCES, buffer.overflow
        buffer.seek(0)
        identity = identify(buffer, str(stored.context.transfer_syntax))
        stated = (request.AffectedSOPClassUID, request.AffectedSOPInstanceUID)
        is_negotiated = identity.sop_class == stored.context.abstract_syntax and identity.sop_class in IMAGE_CLASSES
        if stated != (identity.sop_class, identity.sop_instance_uid) or not is_negotiated:
            return MISMATCH, "it is another object than was announced"
        association = stored.assoc.requestor.primitive
        arrival = Arrival(
            content=_as_file(stored, buffer),
            study_uid=identity.study_uid,
            sop_instance_uid=identity.sop_instance_uid,
            called_ae_title=association.called_ae_title,
            calling_ae_title=association.calling_ae_title,
        )
        self._inbox.receive(arrival)
        return SUCCESS, ""


def _contexts() -> list[Any]:
    build = pynetdicom().build_context
    images = [build(sop_class, list(TRANSFER_SYNTAXES)) for sop_class in IMAGE_CLASSES]
    return [build(_VERIFICATION, list(TRANSFER_SYNTAXES[:2])), *images]


def _as_file(stored: Any, buffer: BoundedBuffer) -> bytes:
    """The object as a DICOM file, its data set as it came; what came is let go of, since it may be large."""
    content: bytes = stored.encoded_dataset()
    buffer.empty()
    stored.request.DataSet = io.BytesIO()
    return content


def _address(text: str) -> IPv4Address | IPv6Address:
    parsed = ip_address(text.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed
