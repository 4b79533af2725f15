"""TLS of DICOM associations, by certificates in files."""

import ssl

from scnas_deploy.errors import ConfigError
from scnas_deploy.serve.settings import ClientTls, Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return how we show ourselves, and whom we let in.

    Raises:
        ConfigError: If a file is missing or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise _unusable(error) from error
    return context


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Return whom we trust, and what we show.

    Raises:
        ConfigError: If a file is missing or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _unusable(error: OSError) -> ConfigError:
    return ConfigError(
        "tls",
        expected="a certificate, its key and certificates of those who sign the other side's",
        found=f"files that cannot be used ({error.strerror or type(error).__name__})",
        remedy="Check the files and their permissions",
    )
