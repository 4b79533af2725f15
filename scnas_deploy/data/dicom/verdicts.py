"""Verdicts: which rule of a regular grid a series breaks, with the figures, and what may be done about it.

A volume needs planes of one size and one orientation, one at each of evenly spaced positions along their normal. Each
rule has a verdict of its own; a series may break several. Some can be corrected by name, which is written into the
result; nothing is corrected unasked.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from scnas_deploy.errors import GeometryError, ScnasError

Correction = Literal["resample-gaps", "shear-tilt", "split-mosaic"]
"""What may be done to a series that is no regular grid, where the user allows it."""

Shared = Literal[
    "patient",
    "study",
    "frame of reference",
    "object class",
    "size",
    "orientation",
    "spacing",
    "image type",
    "echo time",
    "b-value",
    "energy",
    "reconstruction kernel",
]
"""What all planes of a volume share."""

CORRECTIONS: tuple[Correction, ...] = get_args(Correction)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A broken rule."""

    rule: ClassVar[str]
    correction: ClassVar[Correction | None] = None

    @property
    def found(self) -> str:
        """What was found, with the figures, in words that identify nobody."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap(Verdict):
    """The planes are not evenly spaced."""

    rule = "gap"
    correction = "resample-gaps"
    distances_mm: tuple[float, ...]
    """From each plane to the next, along their normal."""
    usual_mm: float
    """The distance that most have."""

    @property
    def found(self) -> str:
        """Say how many distances differ, and their range."""
        others = sum(abs(each - self.usual_mm) > 0.1 * self.usual_mm for each in self.distances_mm)
        return (
            f"distances between planes from {min(self.distances_mm):.2f} to {max(self.distances_mm):.2f} mm, "
            f"{others} of {len(self.distances_mm)} unlike the usual {self.usual_mm:.2f} mm"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate(Verdict):
    """Different planes lie at one position, and nothing says that they belong to different volumes."""

    rule = "duplicate"
    positions: int
    """At how many positions."""

    @property
    def found(self) -> str:
        """Say at how many positions."""
        return f"more than one plane at {self.positions} position(s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tilt(Verdict):
    """The planes are shifted against each other, as with a tilted CT gantry."""

    rule = "tilt"
    correction = "shear-tilt"
    degrees: float
    """Between the planes' normal and the line of their origins."""

    @property
    def found(self) -> str:
        """Say the angle."""
        return f"planes that are shifted against each other by a tilt of {self.degrees:.1f} degrees"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed(Verdict):
    """The planes differ in what all planes of a volume share."""

    rule = "mixed"
    what: Shared
    values: int
    """How many different ones there are."""

    @property
    def found(self) -> str:
        """Say what differs."""
        return f"planes of {self.values} different {_PLURALS.get(self.what, f'{self.what}s')}"


_PLURALS = {
    "frame of reference": "frames of reference",
    "object class": "object classes",
    "study": "studies",
    "spacing": "pixel spacings",
    "energy": "energies",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SeveralVolumes(Verdict):
    """The series holds several volumes of one place: echoes, time points and the like."""

    rule = "several-volumes"
    volumes: int
    by: tuple[str, ...]
    """What tells them apart."""

    @property
    def found(self) -> str:
        """Say how many, and what tells them apart."""
        return f"{self.volumes} volumes at one place, told apart by {', '.join(self.by)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mosaic(Verdict):
    """Many slices lie side by side in one plane."""

    rule = "mosaic"
    correction = "split-mosaic"

    @property
    def found(self) -> str:
        """Say so."""
        return "a mosaic: many slices side by side in one plane"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsplittable(Verdict):
    """A mosaic that does not say how it is made."""

    rule = "mosaic"
    why: str

    @property
    def found(self) -> str:
        """Say why."""
        return self.why


@dataclass(frozen=True, kw_only=True, slots=True)
class Contradiction(Verdict):
    """Objects that share a UID but not their content."""

    rule = "contradiction"
    objects: int

    @property
    def found(self) -> str:
        """Say how many."""
        return f"{self.objects} SOP instance UID(s) with more than one content"


@dataclass(frozen=True, kw_only=True, slots=True)
class TooFewSlices(Verdict):
    """Too few planes to say how far apart they are."""

    rule = "too-few-slices"
    slices: int

    @property
    def found(self) -> str:
        """Say how many."""
        return f"{self.slices} plane(s), where at least 2 make a volume"


@dataclass(frozen=True, kw_only=True, slots=True)
class NoGeometry(Verdict):
    """Objects that do not say where their planes lie in the patient."""

    rule = "no-geometry"
    planes: int

    @property
    def found(self) -> str:
        """Say how many."""
        return f"{self.planes} plane(s) without a usable position, orientation or pixel spacing"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnsupportedSyntax(Verdict):
    """Pixels in a form that nothing installed here can decode."""

    rule = "syntax"
    syntax: str
    """Its name, or UID."""

    @property
    def found(self) -> str:
        """Name it."""
        return f"pixels in the transfer syntax {self.syntax}, which is not supported"


@dataclass(frozen=True, kw_only=True, slots=True)
class DamagedPixels(Verdict):
    """Pixels that cannot be decoded."""

    rule = "damaged"
    objects: int

    @property
    def found(self) -> str:
        """Say of how many objects."""
        return f"{self.objects} object(s) whose pixels cannot be decoded"


class VerdictError(GeometryError):
    """A series that is no regular grid.

    Args:
        subject: Which one, in words that identify nobody.
        verdicts: What it breaks.
    """

    def __init__(self, subject: object, verdicts: tuple[Verdict, ...]) -> None:
        self.verdicts = verdicts
        rules = ", ".join(verdict.rule for verdict in verdicts)
        super().__init__(
            subject,
            expected="planes of one orientation at evenly spaced positions",
            found=f"{'; '.join(verdict.found for verdict in verdicts)} ({rules})",
            remedy=_remedy(verdicts),
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the verdicts when the error crosses a process boundary."""
        return _rebuild, (self.subject, self.verdicts)


def _rebuild(subject: str, verdicts: tuple[Verdict, ...]) -> ScnasError:
    return VerdictError(subject, verdicts)


def _remedy(verdicts: tuple[Verdict, ...]) -> str:
    corrections = [verdict.correction for verdict in verdicts]
    if None in corrections:
        return "Send one complete volume, as it was reconstructed"
    allowed = " ".join(f"--allow {correction}" for correction in dict.fromkeys(corrections))
    return f"Send it as it was reconstructed, or have it corrected with {allowed} and check the result"
