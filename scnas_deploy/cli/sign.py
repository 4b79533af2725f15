"""scnas sign: whom a package comes from. Imports no PyTorch."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import say

PASSWORD = "SCNAS_KEY_PASSWORD"  # noqa: S105 - the variable's name


def sign(
    package: Annotated[Path | None, typer.Argument(help="Package file (.scnas).")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Private key to sign with (Ed25519, PEM).")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Signed package to write; left out, the package itself.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check the signature against the trusted keys.")] = False,
    new_key: Annotated[
        Path | None, typer.Option("--new-key", help="Make KEY.pem, to be kept secret, and KEY.pub.pem, to be trusted.")
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help=f"Protect the new key; asked for, or taken from {PASSWORD}.")
    ] = False,
) -> None:
    """Sign a package, check a package's signature, or make a key."""
    asked = options.names_of_given({"key": key, "verify": verify or None, "new-key": new_key})
    _check_call(asked, package, output, passphrase=passphrase)
    if new_key is not None:
        _make_key(new_key, protect=passphrase)
    elif package is not None and key is not None:
        _sign(package, key, output or package)
    elif package is not None:
        _verify(package)


def _check_call(asked: list[str], package: Path | None, output: Path | None, *, passphrase: bool) -> None:
    from scnas_deploy.errors import ConfigError

    beside = {"--key": {"PACKAGE"}, "--verify": {"PACKAGE"}, "--new-key": set[str]()}
    optional = {"--key": {"--output"}, "--verify": set[str](), "--new-key": {"--passphrase"}}
    given = {
        *(["PACKAGE"] if package is not None else []),
        *(["--output"] if output is not None else []),
        *(["--passphrase"] if passphrase else []),
    }
    if len(asked) != 1 or given - optional[asked[0]] != beside[asked[0]]:
        raise ConfigError(
            "scnas sign",
            expected="PACKAGE --key KEY, PACKAGE --verify, or --new-key KEY",
            found=" ".join(sorted([*asked, *given])) or "nothing",
            remedy="See scnas sign --help",
        )


def _make_key(path: Path, *, protect: bool) -> None:
    from scnas_deploy.inference.keys import PUBLIC_SUFFIX, write_key_pair
    from scnas_deploy.inference.trust import user_keys

    public = write_key_pair(path, _passphrase(confirm=True) if protect else os.environ.get(PASSWORD))
    handed_out = path.with_suffix(PUBLIC_SUFFIX)
    say(f"Wrote {path}, to be kept secret, and {handed_out}: key {public.fingerprint}")
    say(f"Who trusts it puts {handed_out.name} into {user_keys()} or where SCNAS_TRUSTED_KEYS says.")


def _sign(package: Path, key: Path, target: Path) -> None:
    from scnas_deploy.export.signing import sign_package
    from scnas_deploy.inference.keys import read_private_key

    signature = sign_package(package, read_private_key(key, _passphrase), target)
    say(f"Signed {target} with key {signature.key}")


def _verify(package: Path) -> None:
    from scnas_deploy.inference.package import open_package

    verdict = options.trust(require_signature=True).judge(package, open_package(package).seal)
    say(f"{package}: whole, and {verdict}")


def _passphrase(*, confirm: bool = False) -> str:
    from scnas_deploy.errors import ConfigError

    given = os.environ.get(PASSWORD)
    if given:
        return given
    if not sys.stdin.isatty():
        raise ConfigError(
            "--key", expected="the key's passphrase", found="no terminal to ask for it", remedy=f"Set {PASSWORD}"
        )
    return str(typer.prompt("Passphrase of the key", hide_input=True, confirmation_prompt=confirm, err=True))
