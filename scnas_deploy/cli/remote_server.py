"""Which server ``scnas remote`` speaks to, and what it shows there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scnas_deploy.serve.rpc.client import Client
    from scnas_deploy.serve.settings import ClientTls


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteServer:
    """The options of ``scnas remote``."""

    target: str
    """``HOST:PORT``."""
    token_file: Path | None
    tls: bool
    """Encrypt, even where no file is named."""
    ca: Path | None
    certificate: Path | None
    key: Path | None

    @property
    def encrypts(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or self.ca is not None or self.certificate is not None

    @contextmanager
    def connected(self) -> "Iterator[Client]":
        """Give a client of it.

        Raises:
            ConfigError: If a file cannot be read, or a certificate has no key.
        """
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it would print is in our errors
        from scnas_deploy.serve.rpc.client import Client

        token = None if self.token_file is None else _token(self.token_file)
        with Client(self.target, tls=self._client_tls(), token=token) as client:
            yield client

    def _client_tls(self) -> "ClientTls | None":
        from scnas_deploy.errors import ConfigError
        from scnas_deploy.serve.settings import ClientTls

        if (self.certificate is None) != (self.key is None):
            raise ConfigError(
                "--certificate", expected="a certificate and its key", found="one of them", remedy="Give --key too"
            )
        return ClientTls(ca=self.ca, certificate=self.certificate, key=self.key) if self.encrypts else None


def _token(path: Path) -> str:
    from scnas_deploy.errors import ConfigError

    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            path, expected="a file that holds a token", found=type(error).__name__, remedy="Check the path"
        ) from error
