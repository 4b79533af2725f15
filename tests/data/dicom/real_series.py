"""Every real series at hand, what we make of it, and how far that is from what others made of it."""

import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from scnas_deploy.data.dicom.reading import read_series
from scnas_deploy.data.dicom.scan import scan
from scnas_deploy.data.dicom.verdicts import Correction, VerdictError
from scnas_deploy.data.volume import Volume

DCM2NIIX = Path(sysconfig.get_path("scripts"), "dcm2niix")
MODALITIES = ("CT", "PET", "MR_T1")
HEAD = ("11-T1post-18670", "11_HCropVolume", "26401-T1prereg-52906", "36468-FLAIRreg-58706", "37830-T2reg-78532")
CLASSIC = "mr_classic_and_enhanced"
SPLIT: tuple[Correction, ...] = ("split-mosaic",)
TWELVE_BITS = {"12bitUnsigned": "2", "12bitUnsigned_0x0F0F": "3", "12bitSigned_0x0F0F": "4"}
"""Objects -> their references, named by series number."""


@dataclass(frozen=True)
class Case:
    """A series, and what is expected of it."""

    path: str
    """Beneath the folder ``dicom``."""
    reference: str | None = None
    """NIfTI file beneath the same; 'dcm2niix' runs that instead; None where a verdict is expected."""
    allow: tuple[Correction, ...] = ()

    @property
    def name(self) -> str:
        return " ".join([self.path, *(f"--allow {correction}" for correction in self.allow)])


CASES = [
    *(
        Case(f"STS_{study}/{modality}/image", f"STS_{study}/nifti_ref/{modality}_image.nii.gz")
        for study in ("002", "008", "012", "019")
        for modality in MODALITIES
    ),
    *(Case(f"head_mr_4series/{name}", "dcm2niix") for name in HEAD),
    Case("ct_plain/In", "ct_plain/Ref/ct_plain.nii.gz"),
    Case("ct_tilt_variable_gap/In"),
    Case(f"{CLASSIC}/In/cl", f"{CLASSIC}/Ref/1901_WIP_3DpCASL_cl.nii.gz"),
    Case(f"{CLASSIC}/In/enh", f"{CLASSIC}/Ref/1901_WIP_3DpCASL_enh_real.nii.gz"),
    Case("mr_enhanced/In/Philips"),
    Case("mr_enhanced/In/Siemens"),
    *(Case(f"mr_transfer_syntaxes/In/{number}.dcm") for number in range(1, 10)),
    *(
        Case(f"mr_transfer_syntaxes/In/{number}.dcm", f"mr_transfer_syntaxes/Ref/{number}.nii", SPLIT)
        for number in range(1, 10)
    ),
    *(Case(f"mr_12bit/In/{name}.dcm") for name in TWELVE_BITS),
    *(Case(f"mr_12bit/In/{name}.dcm", f"mr_12bit/Ref/{ref}.nii", SPLIT) for name, ref in TWELVE_BITS.items()),
]


@dataclass(frozen=True)
class Outcome:
    """What became of a series."""

    case: Case
    objects: int
    volume: Volume | None = None
    error: VerdictError | None = None
    values_off: float = 0.0
    """Largest difference of a value, as part of the reference's; 0 is exact."""
    affine_off_mm: float = 0.0


def outcome_of(case: Case, root: Path, scratch: Path) -> Outcome:
    """Read a series and compare it with its reference."""
    (series,) = scan([root / case.path]).series
    objects = len(series.instances)
    try:
        volume = read_series(series, case.allow)
    except VerdictError as error:
        return Outcome(case, objects, error=error)
    if case.reference is None:
        return Outcome(case, objects, volume)
    reference = dcm2niix(root / case.path, scratch) if case.reference == "dcm2niix" else root / case.reference
    values_off, affine_off = differences(volume, reference)
    return Outcome(case, objects, volume, values_off=values_off, affine_off_mm=affine_off)


def dcm2niix(folder: Path, scratch: Path) -> Path:
    """Convert a series by the reference tool."""
    command = [DCM2NIIX, "-z", "n", "-f", "oracle", "-o", scratch, folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (made,) = scratch.glob("*.nii")
    return made


def differences(volume: Volume, reference: Path) -> tuple[float, float]:
    """Largest difference of a value, as part of the reference's, and of an entry of the affine; both turned to RAS."""
    ours, theirs = canonical(volume.data[0], volume.affine_ras), canonical_file(reference)
    assert ours[0].shape == theirs[0].shape
    differing = ours[0] != theirs[0]
    off = np.abs(ours[0] - theirs[0])[differing] / np.abs(theirs[0])[differing]
    return float(off.max(initial=0.0)), float(np.abs(ours[1] - theirs[1]).max())


def canonical_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    data = np.asanyarray(image.dataobj.get_unscaled()).astype(np.float64)
    slope, inter = (np.float64(str(np.float32(value))) for value in (image.dataobj.slope, image.dataobj.inter))
    return canonical(data * slope + inter, image.affine)


def canonical(voxels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    image = nib.as_closest_canonical(nib.Nifti1Image(voxels.astype(np.float64), affine))
    return np.asarray(image.dataobj), image.affine


def table(outcomes: Sequence[Outcome]) -> str:
    """The page of the documentation."""
    head = ["Series", "Objects", "What becomes of it", "Compared with", "Values off, relative", "Affine off"]
    rows = [[*map(str, _row(outcome))] for outcome in outcomes]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return _INTRODUCTION + "\n".join(lines) + "\n"


_INTRODUCTION = """\
# What becomes of real DICOM series

Made by `tests/data/dicom/test_real_series.py` from the public series it names, and compared there on every run
(`SCNAS_UPDATE=1` writes it anew). References lie beside the series (made by dcm2niix or by the datasets' authors);
where there is none, dcm2niix is run. Both sides are turned to RAS before they are compared. A verdict is a refusal
with its figures; some can be corrected by name.

"""


def _row(outcome: Outcome) -> tuple[object, ...]:
    case = outcome.case
    if outcome.error is not None:
        return f"`{case.name}`", outcome.objects, f"verdict: {outcome.error.found}", "", "", ""
    assert outcome.volume is not None
    x, y, z = outcome.volume.shape
    spacing = " x ".join(f"{mm:.3f}" for mm in outcome.volume.spacing_mm)
    made = f"{x} x {y} x {z} voxels of {spacing} mm, {outcome.volume.data.dtype}"
    reference = "dcm2niix" if case.reference == "dcm2niix" else f"`{Path(case.reference or '').name}`"
    exact = "exact" if outcome.values_off == 0 else f"< {_ceiling(outcome.values_off):.0e}"
    return f"`{case.name}`", outcome.objects, made, reference, exact, f"< {_ceiling(outcome.affine_off_mm):.0e} mm"


def _ceiling(value: float) -> float:
    """The next power of ten."""
    return float(10.0 ** np.ceil(np.log10(max(value, 1e-12))))
