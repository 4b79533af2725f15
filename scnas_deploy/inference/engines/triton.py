"""Patches on an NVIDIA Triton server."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Final

import numpy as np

from scnas_deploy.errors import ConfigError, EngineError
from scnas_deploy.files import sha256_of
from scnas_deploy.inference.engines.triton_address import TritonAddress
from scnas_deploy.inference.engines.triton_server import MAX_MESSAGE_BYTES, Tensor, TritonServer
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.inference.triton_config import ONNX_DIGEST, version_key
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ

TIMEOUT_S: Final = 120.0
_HEADER_BYTES: Final = 2**20
"""More than a message holds beside its voxels."""


class TritonEngine:
    """Has a server run one version of a model: the newest that holds the package's network.

    Every request names that version, so that a study ends on the network it began with, whatever the server takes up
    meanwhile. What the version holds is asked again before every batch, which takes about a millisecond: the server
    may have been restarted on other files. A model that this package has not exported says nothing of its network;
    the canary alone has to prove it.

    Args:
        address: triton://HOST:PORT/MODEL[/VERSION]; tritons:// encrypts.
        models: The network's ONNX file in each precision that there is.
        precision: Which of these the server must hold; 'auto' is any.
        timeout_s: Time limit of one batch of patches, the wait for others' included.

    Raises:
        ConfigError: If the address is none, or the package lacks the precision.
        MissingExtraError: If tritonclient is not installed.
        EngineError: If the server does not answer, does not serve the model, or serves another network.
    """

    preferred_batch = 1  # the server itself puts together what is under way
    concurrency = 4

    def __init__(
        self, address: str, models: Mapping[Precision, bytes], *, precision: str = "auto", timeout_s: float = TIMEOUT_S
    ) -> None:
        place = TritonAddress.parse(address)
        self._server = TritonServer(place, timeout_s)
        self.name = f"triton {self._server.version()}"
        self.device = place.server
        signature = self._server.signature()
        self._input, self._output = self._only(signature.inputs), self._only(signature.outputs)
        precisions = _precisions(models, precision)
        versions = (place.version,) if place.version else signature.versions
        self._version, self._digest = self._choose(versions, set(precisions))
        self.precision: Precision = precisions.get(self._digest or "", next(iter(precisions.values())))
        self._max_batch = max(1, self._server.config(self._version).max_batch_size)
        proof = "holds this network" if self._digest else "does not say what it holds: only the canary has proven it"
        self.reason = f"asked for; version {self._version} of its model {place.model} {proof}"

    def run(self, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Answer a batch of patches, more than the server takes at once in several requests."""
        held = self._digest_of(self._version)
        if held != self._digest:
            raise self._another_network(f"version {self._version} with {_short(held)}")
        names = self._input.name, self._output.name
        parts = [self._server.infer(self._version, *names, part) for part in self._requests(patches_BCXYZ)]
        return np.concatenate(parts)

    def _requests(self, patches_BCXYZ: PatchesBCXYZ) -> Iterator[PatchesBCXYZ]:
        """Batches that the server takes, and that one message can carry there and back."""
        _, in_channels, *size = patches_BCXYZ.shape
        channels = max(in_channels, self._output.shape[1])
        fitting = (MAX_MESSAGE_BYTES - _HEADER_BYTES) // (4 * channels * prod(size))
        if not fitting:
            raise EngineError(
                self._server.subject,
                expected="patches that one gRPC message can carry, 2 GiB with all classes",
                found=f"{channels} x {' x '.join(map(str, size))} float32",
                remedy="Use an engine of this machine",
            )
        step = min(fitting, self._max_batch)
        for first in range(0, len(patches_BCXYZ), step):
            yield patches_BCXYZ[first : first + step]

    def _only(self, tensors: tuple[Tensor, ...]) -> Tensor:
        if [(tensor.datatype, len(tensor.shape)) for tensor in tensors] != [("FP32", 5)]:
            raise EngineError(
                self._server.subject,
                expected="a model with one input and one output, FP32 of five axes",
                found="; ".join(f"{tensor.name} {tensor.datatype} {tensor.shape}" for tensor in tensors),
                remedy="Serve a model that scnas export --triton has written",
            )
        return tensors[0]

    def _choose(self, versions: tuple[str, ...], wanted: set[str]) -> tuple[str, str | None]:
        """The newest version that holds a wanted network, and its digest; None where no version says what it holds."""
        held = {version: self._digest_of(version) for version in sorted(versions, key=int, reverse=True)}
        found = next((version for version, digest in held.items() if digest in wanted), None)
        if found is None and any(held.values()):
            listed = ", ".join(f"version {version} with {_short(digest)}" for version, digest in held.items())
            raise self._another_network(listed)
        version = found or next(iter(held))
        return version, held[version]

    def _digest_of(self, version: str) -> str | None:
        """SHA-256 of the ONNX file behind what a version runs, if its configuration says so."""
        return self._server.config(version).parameters.get(version_key(ONNX_DIGEST, version))

    def _another_network(self, found: str) -> EngineError:
        return EngineError(
            self._server.subject,
            expected="the package's own network",
            found=f"another network: {found}",
            remedy="Add the package to the server's repository with scnas export --triton, or use the server's package",
        )


def _precisions(models: Mapping[Precision, bytes], asked: str) -> dict[str, Precision]:
    """Digest of each network that may be served -> its precision."""
    found = {sha256_of(model): precision for precision, model in models.items() if asked in ("auto", precision)}
    if not found:
        raise ConfigError(
            "--precision",
            expected=f"auto or one of the package's, {', '.join(models)}",
            found=repr(asked),
            remedy="Choose another precision, or export the package with it",
        )
    return found


def _short(digest: str | None) -> str:
    return f"ONNX {digest[:12]}" if digest else "nothing said"
