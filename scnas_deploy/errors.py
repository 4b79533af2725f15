"""The error tree.

Every class is also the fitting builtin, so that ``except ValueError`` keeps its meaning::

    ScnasError
    ├── ConfigError (ValueError)            exit status 2: the call or a settings file is wrong
    ├── DataError (ValueError)              exit status 3: the input is wrong
    │   ├── FormatError                       not readable as what it should be
    │   ├── GeometryError                     shapes, affines or grids that cannot be used
    │   ├── ChoiceError                       no series of a study, or several, for a channel
    │   ├── FingerprintError                  readable, but outside what the model was made for
    │   └── PackageError                      a model package that must not be trusted
    ├── ArchitectureError (ValueError)      a genotype that describes no network
    ├── ExportError (RuntimeError)
    │   └── ParityError                       an exported network that computes something else
    ├── CapacityError (MemoryError)         a study that needs more memory than there is or is allowed
    ├── EngineError (RuntimeError)          an engine that cannot be opened or answers wrongly
    ├── ProofError (RuntimeError)           a result that, read back, says something else than was found
    ├── LedgerError (RuntimeError)          the job ledger cannot be reached or used
    │   └── StaleLeaseError                   a job that somebody else holds by now
    ├── JobError (RuntimeError)             a job that is not where the call needs it: not done yet, given up, cancelled
    ├── NotFoundError (LookupError)         no such job
    ├── AccessError (PermissionError)       a caller that shows no right certificate, token or AE title
    ├── UnreachableError (ConnectionError)  a server, PACS or source that does not answer, or asks to come again later
    ├── RefusedError (RuntimeError)         another side that will never take what it was sent
    ├── PeerError (RuntimeError)            a process of several that train together is gone
    ├── InputError (OSError)                a file that cannot be read just now, by no fault of its content
    ├── OutputError (OSError)               a result that cannot be written
    │   └── SpoolFullError                    too little space left to take anything more
    └── MissingExtraError (ImportError)     exit status 4: an optional dependency is not installed
"""

from typing import ClassVar


class ScnasError(Exception):
    """Root of all errors this package raises on purpose.

    Args:
        subject: What the message is about: a file, an option, a field. Kept apart, because a file name
            may identify a patient: whoever logs errors outside the user's own terminal drops it.
        expected: What should have been there.
        found: What was there instead.
        remedy: What the user can do about it, an imperative sentence without a full stop.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, subject: object, *, expected: str, found: str, remedy: str) -> None:
        self.subject = str(subject)
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(f"{self.subject}: {self.redacted}")

    @property
    def redacted(self) -> str:
        """The message without its subject, fit for a log that must not identify a patient."""
        return f"expected {self.expected}, found {self.found}. {self.remedy}."

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the fields when the error crosses a process boundary."""
        return _rebuild, (type(self), self.subject, self.expected, self.found, self.remedy)


def _rebuild(kind: type[ScnasError], subject: str, expected: str, found: str, remedy: str) -> ScnasError:
    return kind(subject, expected=expected, found=found, remedy=remedy)


class ConfigError(ScnasError, ValueError):
    """The call, an option or a settings file is wrong."""

    exit_status = 2


class DataError(ScnasError, ValueError):
    """The input is wrong."""

    exit_status = 3


class FormatError(DataError):
    """A file is not readable as what it should be."""


class GeometryError(DataError):
    """Shapes, affines or grids that cannot be used, or not together."""


class ChoiceError(DataError):
    """A study of which no series, or more than one, could serve a channel, or whose series do not belong together."""


class FingerprintError(DataError):
    """A study that is readable but outside what the model was made for."""


class PackageError(DataError):
    """A model package that must not be trusted: damaged, foreign, or of another version."""


class ArchitectureError(ScnasError, ValueError):
    """A genotype that describes no network."""


class ExportError(ScnasError, RuntimeError):
    """A network could not be exported."""


class ParityError(ExportError):
    """An exported network computes something else than the trained one."""


class EngineError(ScnasError, RuntimeError):
    """An inference engine cannot be opened, or answers wrongly."""


class CapacityError(ScnasError, MemoryError):
    """A study needs more memory than there is, or than it was allowed."""


class ProofError(ScnasError, RuntimeError):
    """A result that, read back by other code than wrote it, says something else than was found."""


class LedgerError(ScnasError, RuntimeError):
    """The job ledger cannot be reached, or not be used."""


class StaleLeaseError(LedgerError):
    """A job whose lease has run out and that is somebody else's by now, or finished."""


class JobError(ScnasError, RuntimeError):
    """A job is not where a call needs it: not done yet, given up, or cancelled."""


class NotFoundError(ScnasError, LookupError):
    """There is no such job."""


class AccessError(ScnasError, PermissionError):
    """A caller shows no certificate, token or AE title that is let in."""

    __str__ = Exception.__str__  # OSError would print its own arguments instead of the message


class UnreachableError(ScnasError, ConnectionError):
    """Another side does not answer, or asks to come again later."""

    __str__ = Exception.__str__  # OSError would print its own arguments instead of the message


class RefusedError(ScnasError, RuntimeError):
    """Another side will not take what it was sent, however often it is sent."""


class PeerError(ScnasError, RuntimeError):
    """One of several processes that train together is gone or cannot be reached."""


class InputError(ScnasError, OSError):
    """A file that cannot be read just now: a disk, a share or a permission fails, not its content."""

    __str__ = Exception.__str__  # OSError would print its own arguments instead of the message


class OutputError(ScnasError, OSError):
    """A result cannot be written."""

    __str__ = Exception.__str__  # OSError would print its own arguments instead of the message


class SpoolFullError(OutputError):
    """Too little space is left to take anything more."""


class MissingExtraError(ScnasError, ImportError):
    """An optional dependency is not installed.

    Args:
        module: The module that could not be imported.
        extra: The extra of this package that brings it.
        purpose: What it is needed for.
    """

    exit_status = 4

    def __init__(self, module: str, extra: str, purpose: str) -> None:
        self.module, self.extra, self.purpose = module, extra, purpose
        super().__init__(
            purpose,
            expected=f"the Python package '{module}'",
            found="it is not installed",
            remedy=f"Install it with: pip install 'scnas-deploy[{extra}]'",
        )

    __str__ = Exception.__str__  # ImportError would print its own message field

    def __reduce__(self) -> tuple[object, ...]:
        return MissingExtraError, (self.module, self.extra, self.purpose)
