"""ledger.json: what a run has cost, sitting by sitting. Torch-free."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from scnas_deploy.documents import Frozen, read_document, to_json
from scnas_deploy.files import write_text

LEDGER = "ledger.json"


class Sitting(Frozen):
    """One stretch of a run, from its start or resumption to its end, interruption or kill."""

    started: str
    """Date and time, ISO 8601, UTC."""
    device: str
    num_processes: int
    seconds: float
    """Wall time, work included that a kill has lost and that was done again."""
    peak_bytes: int
    """Highest memory of the main process (CPU: resident set; CUDA: allocated)."""
    cpu_joules: float | None
    """Energy of the machine's processors and their memory, other programs included; None where not readable."""
    gpu_joules: float | None
    """Energy of the GPUs used; None where not readable."""


class Ledger(Frozen):
    """ledger.json, schema 1: a run's sittings in their order."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    kind: Literal["search", "train"]
    sittings: Annotated[tuple[Sitting, ...], Field(min_length=1)]

    @property
    def seconds(self) -> float:
        """Wall time of all sittings."""
        return sum(sitting.seconds for sitting in self.sittings)

    @property
    def peak_bytes(self) -> int:
        """Highest memory of any sitting."""
        return max(sitting.peak_bytes for sitting in self.sittings)

    @property
    def cpu_joules(self) -> float | None:
        """Energy of the processors; None where one sitting's is not known."""
        return _sum_of_known([sitting.cpu_joules for sitting in self.sittings])

    @property
    def gpu_joules(self) -> float | None:
        """Energy of the GPUs; None where one sitting's is not known."""
        return _sum_of_known([sitting.gpu_joules for sitting in self.sittings])


def load_ledger(folder: Path) -> Ledger | None:
    """Read a run folder's costs; None where nothing has been recorded.

    Raises:
        FormatError: If the file is damaged or of another version.
    """
    path = folder / LEDGER
    return read_document(path, Ledger, made_by="scnas search or scnas train") if path.is_file() else None


class LedgerWriter:
    """Writes the current sitting into a run folder's ledger.json, behind the earlier ones.

    Args:
        folder: The run folder.
        kind: What the run does.
        measure: Returns the current sitting as it stands.
    """

    def __init__(self, folder: Path, kind: Literal["search", "train"], measure: Callable[[], Sitting]) -> None:
        earlier = load_ledger(folder)
        self._earlier: Sequence[Sitting] = () if earlier is None else earlier.sittings
        self._path, self._kind, self._measure = folder / LEDGER, kind, measure

    def save(self) -> Ledger:
        """Write what the run has cost up to now, and return it."""
        costs = Ledger(kind=self._kind, sittings=(*self._earlier, self._measure()))
        write_text(self._path, to_json(costs))
        return costs


def now_utc() -> str:
    """Date and time to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _sum_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
