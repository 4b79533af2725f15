"""What stands before every call: who may, how many at a time, and what becomes of errors."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from scnas_deploy.errors import AccessError, CapacityError, FormatError, ScnasError
from scnas_deploy.serve.logs import event, in_words, logger
from scnas_deploy.serve.rpc.identity import Identities
from scnas_deploy.serve.rpc.statuses import refuse

_LOG: Final = logger("serve.rpc")
_OPEN: Final = "/grpc.health.v1.Health/Check"
"""Anyone may ask whether we are well."""
_MAKERS: Final = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By whether requests and responses are streams."""


class Guard(grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC is untyped
    """Stands before all calls but the check of health.

    Messages are parsed here, in the call's own thread and so that what cannot be parsed is an error like others:
    gRPC would parse them in the thread that serves all connections, and log a traceback.

    Args:
        identities: Say who may call.
        max_calls: That may be under way at a time.
        on_refusal: Told the class of each error that a call is refused with.
    """

    def __init__(self, identities: Identities, max_calls: int, on_refusal: Callable[[str], None]) -> None:
        self._identities, self._max_calls, self._on_refusal = identities, max_calls, on_refusal
        self._free = threading.BoundedSemaphore(max_calls)

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Return what answers a call."""
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method == _OPEN:
            return handler
        try:
            self._identities.check(handler_call_details.invocation_metadata)
        except AccessError as error:
            return self._refusal(error)
        return self._guarded(handler)

    def _guarded(self, handler: Any) -> Any:
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        parse = _parser(handler.request_deserializer)

        def told(request: Any) -> Any:
            return map(parse, request) if handler.request_streaming else parse(request)

        def answer(request: Any, context: Any) -> Any:
            with self._answering(context), self._room():
                return behaviour(told(request), context)

        def answers(request: Any, context: Any) -> Iterator[Any]:
            with self._answering(context), self._room():
                yield from behaviour(told(request), context)

        make = _MAKERS[handler.request_streaming, handler.response_streaming]
        guarded = answers if handler.response_streaming else answer
        return make(guarded, response_serializer=handler.response_serializer)

    @contextmanager
    def _answering(self, context: Any) -> Iterator[None]:
        """End a call by the status of an error; one that is not ours says no more than its class."""
        try:
            yield
        except grpc.RpcError:
            raise  # the client has gone, which gRPC knows by this very object
        except ScnasError as error:
            self._refuse(context, error)
        except Exception as error:  # noqa: BLE001  # what it says of its values may name a patient
            event(_LOG, logging.ERROR, "a call failed", error=in_words(error))
            context.abort(grpc.StatusCode.INTERNAL, type(error).__name__)

    def _refusal(self, error: ScnasError) -> Any:
        """What answers with an error before any message has come, whatever kind of call it is."""
        return grpc.stream_stream_rpc_method_handler(lambda _requests, context: self._refuse(context, error))

    def _refuse(self, context: Any, error: ScnasError) -> NoReturn:
        kind = type(error).__name__
        event(_LOG, logging.WARNING, "refused a call", kind=kind, error=error.redacted)
        self._on_refusal(kind)
        refuse(context, error)

    @contextmanager
    def _room(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise CapacityError(
                "the server",
                expected=f"at most {self._max_calls} calls at a time",
                found="one more",
                remedy="Try again later",
            )
        try:
            yield
        finally:
            self._free.release()


def _parser(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parsed(message: bytes) -> Any:
        try:
            return parse(message)
        except DecodeError:
            pass
        raise FormatError(
            "a message", expected="a message of this call", found="something else", remedy="Use the same protocol"
        )

    return parsed
