"""Who calls: the common name of a client's certificate, or the name of its token."""

from collections.abc import Iterable
from typing import Any, Final

from scnas_deploy.errors import AccessError
from scnas_deploy.serve.settings import GrpcSettings
from scnas_deploy.serve.tokens import Tokens

_BEARER: Final = "bearer "


class Identities:
    """Lets clients in, as the settings say.

    What is configured is asked for: certificates while the connection is made, tokens with each call. With both, the
    token says who it is.

    Args:
        settings: See there.

    Raises:
        ConfigError: If the file of tokens cannot be used.
    """

    def __init__(self, settings: GrpcSettings) -> None:
        self._tokens = None if settings.tokens is None or settings.insecure else Tokens(settings.tokens)
        self._insecure = settings.insecure

    def check(self, metadata: Iterable[tuple[str, Any]]) -> None:
        """Refuse a call that lacks a token, before anything of it is read.

        Raises:
            AccessError: If one is asked for and it shows none that is known.
        """
        if self._tokens is not None:
            self._of_token(self._tokens, metadata)

    def client_of(self, context: Any) -> str:
        """Return the name of who calls; empty where nobody is asked.

        Raises:
            AccessError: If it shows neither a token nor a certificate that is let in.
        """
        if self._tokens is not None:
            return self._of_token(self._tokens, context.invocation_metadata())
        names = context.auth_context().get("x509_common_name", ())
        name = names[0].decode(errors="replace") if names else ""
        if not name and not self._insecure:
            raise AccessError(
                "the client",
                expected="a certificate with a common name",
                found="none",
                remedy="Have one made by whom the server trusts",
            )
        return name

    @staticmethod
    def _of_token(tokens: Tokens, metadata: Iterable[tuple[str, Any]]) -> str:
        shown = next((value for key, value in metadata if key == "authorization"), None)
        name = None
        if isinstance(shown, str) and shown[: len(_BEARER)].lower() == _BEARER:
            name = tokens.name_of(shown[len(_BEARER) :])
        if name is None:
            raise AccessError(
                "the client",
                expected="a bearer token that is known",
                found="none" if shown is None else "another one",
                remedy="Ask who runs the server for a token",
            )
        return name
