"""What a segmented study is."""

from dataclasses import dataclass
from pathlib import Path

from scnas_deploy.data.nifti import is_nifti_name, save_labels
from scnas_deploy.data.plan import Label
from scnas_deploy.data.volume import Volume
from scnas_deploy.errors import ConfigError
from scnas_deploy.inference.manifest import Precision
from scnas_deploy.types import LabelsXYZ


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a study takes at its peak beside the model, its own voxels included, in bytes."""

    said: int
    """Before."""
    taken: int | None
    """Measured, what else the process did meanwhile included; None where the system does not tell."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Segmentation:
    """Labels on a study's own grid, and where they come from."""

    labels_XYZ: LabelsXYZ
    study: Volume
    labels: tuple[Label, ...]
    model_name: str
    model_digest: str
    engine: str
    """Name and version, and the precision where it is not float32."""
    outside_limits: tuple[str, ...]
    """In what the study leaves the model's limits; not empty only where it was forced."""
    precision: Precision = "float32"
    memory: MemoryUse | None = None
    """None where nothing was computed."""

    def volumes_ml(self) -> dict[str, float]:
        """Return each structure's volume in millilitres, by name; 0.0 where it was not found."""
        voxel = self.study.voxel_ml
        return {label.name: float((self.labels_XYZ == label.value).sum()) * voxel for label in self.labels}

    def save(self, path: Path | str) -> None:
        """Write the labels as NIfTI on the study's own grid.

        Raises:
            ConfigError: If the name does not end in .nii or .nii.gz.
            OutputError: If the file cannot be written.
        """
        target = Path(path)
        check_result_name(target)
        save_labels(target, self.labels_XYZ, self.study)


def check_result_name(path: Path) -> None:
    """Refuse an output name whose form is not known."""
    if not is_nifti_name(path):
        raise ConfigError(
            path, expected="an output name ending in .nii.gz or .nii", found=path.name, remedy="Change the name"
        )
