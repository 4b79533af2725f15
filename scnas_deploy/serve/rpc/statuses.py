"""Our errors as gRPC statuses, and back: one table, and what travels with a status."""

import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from scnas_deploy.errors import (
    AccessError,
    ArchitectureError,
    CapacityError,
    ChoiceError,
    ConfigError,
    DataError,
    EngineError,
    ExportError,
    FingerprintError,
    FormatError,
    GeometryError,
    InputError,
    JobError,
    LedgerError,
    MissingExtraError,
    NotFoundError,
    OutputError,
    PackageError,
    ParityError,
    PeerError,
    ProofError,
    RefusedError,
    ScnasError,
    SpoolFullError,
    StaleLeaseError,
    UnreachableError,
)
from scnas_deploy.serve.rpc.v1 import segmentation_pb2 as pb

DETAIL_KEY: Final = "scnas-error-bin"
"""Trailing metadata that holds an ErrorDetail."""

CODES: Final[Mapping[type[ScnasError], grpc.StatusCode]] = {
    ScnasError: grpc.StatusCode.UNKNOWN,
    # The call or what came with it is wrong; to be corrected before it is sent again.
    ConfigError: grpc.StatusCode.INVALID_ARGUMENT,
    DataError: grpc.StatusCode.INVALID_ARGUMENT,
    FormatError: grpc.StatusCode.INVALID_ARGUMENT,
    GeometryError: grpc.StatusCode.INVALID_ARGUMENT,
    ChoiceError: grpc.StatusCode.INVALID_ARGUMENT,
    FingerprintError: grpc.StatusCode.INVALID_ARGUMENT,
    # The call is right, but not now or not here.
    JobError: grpc.StatusCode.FAILED_PRECONDITION,
    PackageError: grpc.StatusCode.FAILED_PRECONDITION,
    StaleLeaseError: grpc.StatusCode.ABORTED,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    AccessError: grpc.StatusCode.UNAUTHENTICATED,
    RefusedError: grpc.StatusCode.ALREADY_EXISTS,  # the one thing refused here: a key that names another job
    # Too much.
    CapacityError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    SpoolFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    # To be tried again.
    LedgerError: grpc.StatusCode.UNAVAILABLE,
    UnreachableError: grpc.StatusCode.UNAVAILABLE,
    InputError: grpc.StatusCode.UNAVAILABLE,
    # A person has to look after the server.
    OutputError: grpc.StatusCode.INTERNAL,
    ArchitectureError: grpc.StatusCode.INTERNAL,
    ExportError: grpc.StatusCode.INTERNAL,
    ParityError: grpc.StatusCode.INTERNAL,
    EngineError: grpc.StatusCode.INTERNAL,
    PeerError: grpc.StatusCode.INTERNAL,
    ProofError: grpc.StatusCode.DATA_LOSS,
    MissingExtraError: grpc.StatusCode.UNIMPLEMENTED,
}

_UNTOLD: Final[Mapping[grpc.StatusCode, tuple[type[ScnasError], str]]] = {
    grpc.StatusCode.UNAVAILABLE: (UnreachableError, "Check its address, certificates and network, then try again"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (UnreachableError, "Try again"),
    grpc.StatusCode.CANCELLED: (UnreachableError, "Try again"),
    grpc.StatusCode.UNAUTHENTICATED: (AccessError, "Show a certificate or token that the server knows"),
    grpc.StatusCode.PERMISSION_DENIED: (AccessError, "Show a certificate or token that the server knows"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (CapacityError, "Send less at a time, or try again later"),
    grpc.StatusCode.UNIMPLEMENTED: (ConfigError, "Use a server of scnas-deploy, of this version"),
}
"""What a client makes of a status without a word of ours, as from gRPC itself or a proxy."""

_LONGEST: Final = 1000
"""Characters of a field; metadata is limited."""
_KINDS: Final = {kind.__name__: kind for kind in CODES}


def code_of(error: ScnasError) -> grpc.StatusCode:
    """Return an error's status: its class' own, else that of the nearest class it descends from."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def refuse(context: Any, error: ScnasError) -> NoReturn:
    """End a call with an error of ours, without its subject."""
    detail = pb.ErrorDetail(
        kind=next(kind.__name__ for kind in type(error).__mro__ if kind in CODES),
        expected=_short(error.expected),
        found=_short(error.found),
        remedy=_short(error.remedy),
    )
    if isinstance(error, MissingExtraError):
        detail.module, detail.extra = error.module, error.extra
    context.set_trailing_metadata(((DETAIL_KEY, detail.SerializeToString()),))
    context.abort(code_of(error), _short(error.redacted))
    raise AssertionError("abort raises")


def error_of(failure: Any, server: str) -> ScnasError:
    """Return the error that a failed call stands for.

    Args:
        failure: The ``grpc.RpcError`` of a client's call.
        server: Its address, the subject.
    """
    detail = _detail(failure)
    if detail is not None and detail.kind in _KINDS:
        return _rebuilt(detail, server)
    code = failure.code()
    kind, remedy = _UNTOLD.get(code, (RefusedError, "Look into the server's log"))
    found = f"{code.name}{_reason(failure)}"
    return kind(server, expected="a server that answers", found=found, remedy=remedy)


def is_worth_a_repetition(error: ScnasError) -> bool:
    """Whether the same call may do better in a while."""
    return isinstance(error, UnreachableError | LedgerError | InputError)


def _rebuilt(detail: pb.ErrorDetail, server: str) -> ScnasError:
    kind = _KINDS[detail.kind]
    if kind is MissingExtraError:
        return MissingExtraError(detail.module, detail.extra, server)
    return kind(server, expected=detail.expected, found=detail.found, remedy=detail.remedy)


def _detail(failure: Any) -> pb.ErrorDetail | None:
    for key, value in failure.trailing_metadata() or ():
        if key == DETAIL_KEY:
            detail = pb.ErrorDetail()
            try:
                detail.MergeFromString(value)
            except DecodeError:
                return None
            return detail
    return None


def _reason(failure: Any) -> str:
    """The first line of what gRPC says, which names addresses and certificates and no patient."""
    text = re.sub(r"\s+", " ", failure.details() or "").strip()
    return f" ({text[:_LONGEST]})" if text else ""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
