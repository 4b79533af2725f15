"""What stands before every call: who may, how many at a time, and what becomes of errors."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from scnas_deploy.errors import AccessError, FormatError, ScnasError
from scnas_deploy.serve.logs import event, in_words, logger
from scnas_deploy.serve.rpc.identity import Identities
from scnas_deploy.serve.rpc.limits import Patience, Room
from scnas_deploy.serve.rpc.statuses import refuse

_LOG: Final = logger("serve.rpc")
_OPEN: Final = "/grpc.health.v1.Health/Check"
"""Anyone may ask whether we are well."""
OPEN_CALLS: Final = 8
"""Of those that anyone may make, so many may wait for their message."""


class Guard(grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC is untyped
    """Stands before all calls.

    Messages are waited for and parsed here, whatever kind of call it is: gRPC would wait for the only message of a call
    for as long as its client likes, before anything of ours has run, and parse it in the thread that serves all
    connections, with a traceback in the log where that fails.

    Args:
        identities: Say who may call.
        max_calls: That may be under way at a time.
        on_refusal: Told the class of each error that a call is refused with.
    """

    def __init__(self, identities: Identities, max_calls: int, on_refusal: Callable[[str], None]) -> None:
        self._identities, self._on_refusal = identities, on_refusal
        self._room = Room(max_calls)
        self._patience, self._patience_with_anyone = Patience(), Patience(OPEN_CALLS)

    def end_late(self) -> None:
        """End the calls whose next message takes too long; to be called now and then."""
        self._patience.end_late()
        self._patience_with_anyone.end_late()

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Return what answers a call."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        if handler_call_details.method == _OPEN:
            return self._guarded(handler, self._patience_with_anyone, lambda _: nullcontext())
        try:
            self._identities.check(handler_call_details.invocation_metadata)
        except AccessError as error:
            return self._refusal(error)
        return self._guarded(handler, self._patience, self._place)

    def _place(self, context: Any) -> AbstractContextManager[None]:
        return self._room.place(self._identities.client_of(context))

    def _guarded(self, handler: Any, patience: Patience, place: Callable[[Any], AbstractContextManager[None]]) -> Any:
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        parse = _parser(handler.request_deserializer)

        def told(requests: Any, context: Any) -> Any:
            messages = map(parse, patience.messages(requests, context))
            return messages if handler.request_streaming else _first(messages)

        def answer(requests: Any, context: Any) -> Any:
            with self._answering(context), place(context):
                return behaviour(told(requests, context), context)

        def answers(requests: Any, context: Any) -> Iterator[Any]:
            with self._answering(context), place(context):
                yield from behaviour(told(requests, context), context)

        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(answers, response_serializer=handler.response_serializer)
        return grpc.stream_unary_rpc_method_handler(answer, response_serializer=handler.response_serializer)

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


def _parser(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parsed(message: bytes) -> Any:
        try:
            return parse(message)
        except DecodeError:
            pass
        raise _no_message("something else")

    return parsed


def _first(messages: Iterator[Any]) -> Any:
    for message in messages:
        return message
    raise _no_message("none")


def _no_message(found: str) -> FormatError:
    return FormatError("a message", expected="a message of this call", found=found, remedy="Use the same protocol")
