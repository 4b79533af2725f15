"""Proving a network's artefacts: each one in every engine here that runs its precision."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from torch import nn

from scnas_deploy.errors import EngineError, MissingExtraError
from scnas_deploy.export.parity import RealPatches, compare, require_parity
from scnas_deploy.inference.canary import check_canary
from scnas_deploy.inference.engines.base import Engine
from scnas_deploy.inference.engines.pytorch import TorchEngine
from scnas_deploy.inference.engines.select import installed_engines, open_engine
from scnas_deploy.inference.manifest import Artefact, CanaryRecord, ParityRecord, Precision
from scnas_deploy.inference.package import MODELS, Canary

_log = logging.getLogger(__name__)

_PROVERS: Final[dict[Precision, str]] = {"float32": "openvino", "float16": "onnxruntime", "int8": "openvino"}
"""The library to install where no engine runs a precision."""


def check_provable(precisions: Sequence[Precision]) -> None:
    """Refuse early a precision that no installed engine runs.

    Raises:
        MissingExtraError: With the library that would.
    """
    for precision in precisions:
        if not installed_engines(precision):
            raise MissingExtraError(_PROVERS[precision], "cpu", f"the parity gate of the {precision} export")


def prove(
    network: nn.Module, models: Mapping[Precision, bytes], canary: Canary, patches: Sequence[RealPatches]
) -> tuple[Artefact, ...]:
    """Compare each artefact with PyTorch on real patches and on the canary.

    An engine that is installed and cannot be opened, as one for a GPU whose libraries are missing, is left out with a
    warning; an engine that answers wrongly never is.

    Raises:
        ParityError: If one computes something else on the patches.
        EngineError: If no engine can load an artefact, or one answers the canary wrongly.
    """
    engines = [engine for precision, model in models.items() for engine in _engines(precision, model)]
    parity = compare(TorchEngine(network), engines, patches)
    for engine, record in zip(engines, parity, strict=True):
        require_parity(record, engine.precision)
    return tuple(_artefact(precision, engines, parity, canary) for precision in models)


def _engines(precision: Precision, model: bytes) -> list[Engine]:
    """All engines here that can be opened with an artefact, one at least."""
    opened: list[Engine] = []
    failed: list[EngineError] = []
    for name in installed_engines(precision):
        try:
            opened.append(open_engine({precision: model}, name, precision=precision).engine)
        except EngineError as error:
            failed.append(error)
    if not opened:
        raise failed[-1]
    for reason in failed:
        _log.warning("The %s export is not compared with an engine that cannot be used: %s", precision, reason)
    return opened


def gate_of(network: nn.Module, patches: Sequence[RealPatches]) -> Callable[[Engine], None]:
    """Return what raises ParityError for an engine that computes something else than PyTorch on real patches."""

    def gate(engine: Engine) -> None:
        (record,) = compare(TorchEngine(network), [engine], patches)
        require_parity(record, engine.precision)

    return gate


def _artefact(
    precision: Precision, engines: Sequence[Engine], parity: Sequence[ParityRecord], canary: Canary
) -> Artefact:
    pairs = [(engine, record) for engine, record in zip(engines, parity, strict=True) if engine.precision == precision]
    answers = [check_canary(engine, canary) for engine, _ in pairs]
    worst = CanaryRecord(
        max_abs_error=max(answer.max_abs_error for answer in answers),
        label_agreement=min(answer.label_agreement for answer in answers),
    )
    records = tuple(record for _, record in pairs)
    return Artefact(file=MODELS[precision], precision=precision, parity=records, canary=worst)
