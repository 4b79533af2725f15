"""Certificates and keys from files, as gRPC takes them."""

import ssl
from pathlib import Path
from typing import Any

import grpc

from scnas_deploy.errors import ConfigError
from scnas_deploy.serve.settings import ClientTls, Tls


def server_credentials(tls: Tls) -> Any:
    """Return what a server shows, and whose clients it takes.

    Raises:
        ConfigError: If a file cannot be read.
    """
    authority = None if tls.client_ca is None else _read(tls.client_ca)
    return grpc.ssl_server_credentials(
        [(_read(tls.key), _read(tls.certificate))],
        root_certificates=authority,
        require_client_auth=authority is not None,
    )


def channel_credentials(tls: ClientTls) -> Any:
    """Return whom a client trusts, and what it shows.

    Raises:
        ConfigError: If a file cannot be read.
    """
    system = ssl.get_default_verify_paths().cafile  # gRPC itself would trust a list of its own
    authority = tls.ca or (Path(system) if system else None)
    return grpc.ssl_channel_credentials(
        root_certificates=None if authority is None else _read(authority),
        private_key=None if tls.key is None else _read(tls.key),
        certificate_chain=None if tls.certificate is None else _read(tls.certificate),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            path, expected="a certificate or key", found=str(error.strerror), remedy="Check its path and permissions"
        ) from error
