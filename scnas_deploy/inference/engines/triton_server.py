"""A Triton server over gRPC: what it serves, and patches to it, every call within a time limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from scnas_deploy.errors import EngineError
from scnas_deploy.extras import require
from scnas_deploy.inference.engines.triton_address import TritonAddress
from scnas_deploy.types import LogitsBKXYZ, PatchesBCXYZ

MAX_MESSAGE_BYTES: Final = 2**31 - 1
"""Protobuf's limit, and the server's."""
_ANSWER_S: Final = 10.0
"""Time limit of questions about the server."""
_CHANNEL: Final = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_reconnect_backoff_ms", 500),  # gRPC's own two minutes outlast the restart of a server
]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a served model."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    """-1 where any length is taken."""


@dataclass(frozen=True, slots=True)
class ModelSignature:
    """What a served model takes and answers."""

    versions: tuple[str, ...]
    """That are ready, in the server's order."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a model's config.pbtxt says."""

    max_batch_size: int
    parameters: dict[str, str]


class TritonServer:
    """One server; the methods may be called from several threads.

    Args:
        address: Of the server.
        timeout_s: Time limit of computing one batch of patches, the wait for others' patches included.

    Raises:
        MissingExtraError: If tritonclient is not installed.
    """

    def __init__(self, address: TritonAddress, timeout_s: float) -> None:
        self.address = address
        self._timeout_s, self._answer_s = timeout_s, min(_ANSWER_S, timeout_s)
        self._grpc: Any = require("tritonclient.grpc", extra="triton", purpose="the Triton engine")
        self._client: Any = self._grpc.InferenceServerClient(
            address.server, ssl=address.encrypted, channel_args=_CHANNEL
        )

    @property
    def subject(self) -> str:
        """What errors are about."""
        return f"triton at {self.address.server}"

    def version(self) -> str:
        """The server's own version; proves that it answers."""
        with self._calling(self._answer_s):
            return str(self._client.get_server_metadata(client_timeout=self._answer_s).version)

    def signature(self) -> ModelSignature:
        """What the address's model takes, of the version that it names or of all."""
        model, version = self.address.model, self.address.version or ""
        with self._calling(self._answer_s):
            if not self._client.is_model_ready(model, version, client_timeout=self._answer_s):
                raise self._not_served(self._client.get_model_repository_index(client_timeout=self._answer_s).models)
            found = self._client.get_model_metadata(model, version, client_timeout=self._answer_s)
        return ModelSignature(tuple(found.versions), _tensors(found.inputs), _tensors(found.outputs))

    def config(self, version: str) -> ModelConfig:
        """The configuration that a version runs with now."""
        with self._calling(self._answer_s):
            found = self._client.get_model_config(self.address.model, version, client_timeout=self._answer_s).config
        parameters = {key: value.string_value for key, value in found.parameters.items()}
        return ModelConfig(found.max_batch_size, parameters)

    def infer(self, version: str, input_name: str, output_name: str, patches_BCXYZ: PatchesBCXYZ) -> LogitsBKXYZ:
        """Have one version compute a batch of patches."""
        tensor = self._grpc.InferInput(input_name, list(patches_BCXYZ.shape), "FP32")
        tensor.set_data_from_numpy(patches_BCXYZ)
        with self._calling(self._timeout_s):
            answer = self._client.infer(
                self.address.model,
                [tensor],
                model_version=version,
                outputs=[self._grpc.InferRequestedOutput(output_name)],
                client_timeout=self._timeout_s,
            )
        logits: LogitsBKXYZ = answer.as_numpy(output_name)
        return logits

    def _not_served(self, models: Any) -> EngineError:
        there = [f"{model.name} version {model.version}" for model in models if model.state == "READY"]
        asked = self.address.model + (f" version {self.address.version}" if self.address.version else "")
        return EngineError(
            self.subject,
            expected=f"the model {asked}",
            found=", ".join(there) or "no model that is ready",
            remedy="Check the name behind the port, and the server's log for why it does not load the model",
        )

    @contextmanager
    def _calling(self, limit_s: float) -> Iterator[None]:
        try:
            yield
        except self._grpc.InferenceServerException as error:
            raise self._translated(error, limit_s) from error

    def _translated(self, error: Any, limit_s: float) -> EngineError:
        status = str(error.status() or "").removeprefix("StatusCode.")
        expected, remedy = _MEANINGS.get(status, ("an answer", "See the server's log"))
        message = str(error.message() or status).splitlines()[0].partition(" NOTE: ")[0]
        return EngineError(self.subject, expected=expected.format(limit_s), found=message[:200], remedy=remedy)


_MEANINGS: Final = {
    "UNAVAILABLE": (
        "a Triton server that answers",
        "Start it, or check host and gRPC port (8001 unless it was changed); then run the study again",
    ),
    "DEADLINE_EXCEEDED": (
        "an answer within {:g} s",
        "Check that the server is reachable and not overloaded; then run the study again",
    ),
    "NOT_FOUND": (
        "the model and version that were proven",
        "Load them again on the server, or run the study again with what it serves now",
    ),
    "INVALID_ARGUMENT": (
        "patches the model can take",
        "Use the package that the server's model was exported from",
    ),
}
"""gRPC's status -> what was expected, and what to do."""


def _tensors(found: Any) -> tuple[Tensor, ...]:
    return tuple(Tensor(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in found)
