"""Where scnas segment writes: one NIfTI file, or a folder of the forms that --format names."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scnas_deploy.data.volume import Volume
    from scnas_deploy.inference.segmentation import Segmentation
    from scnas_deploy.results.formats import Format


@dataclass(frozen=True, slots=True)
class Target:
    """A file, or a folder and what goes into it."""

    path: Path
    formats: tuple["Format", ...] = ()
    """Empty: a NIfTI file."""

    @classmethod
    def of(cls, study: list[Path], output: Path | None, formats: str | None) -> "Target":
        """Decide by the options."""
        from scnas_deploy.results.formats import parse_formats

        name = study[0].resolve().name if study[0].is_dir() else study[0].name
        stem = name.removesuffix(".gz").removesuffix(".nii").removesuffix(".zip")
        if formats is None:
            return cls(output or Path(f"{stem}_seg.nii.gz"))
        return cls(output or Path(f"{stem}_results"), parse_formats(formats))

    @property
    def forms(self) -> tuple[str, ...]:
        """What is written, by the names of the forms."""
        return tuple(each.value for each in self.formats) or ("nifti",)

    def check(self, study: list[Path]) -> None:
        """Refuse early what could not be written, or would replace the study.

        Raises:
            ConfigError: If the name says no form that is known, or is the study's.
            OutputError: If it cannot be written.
        """
        from scnas_deploy.errors import ConfigError
        from scnas_deploy.files import check_writable
        from scnas_deploy.inference.segmentation import check_result_name

        if any(path.exists() and self.path.exists() and path.samefile(self.path) for path in study):
            raise ConfigError(
                "--output", expected="another file than the study", found=str(self.path), remedy="Choose another name"
            )
        if self.formats:
            if self.path.exists():
                check_writable(self.path / "labels.nii.gz")
            else:
                check_writable(self.path)
            return
        check_result_name(self.path)
        check_writable(self.path)

    def require_source(self, study: "Volume") -> None:
        """Refuse a study that the forms cannot be made of, before it is segmented.

        Raises:
            ConfigError: If it is not made of DICOM objects that results can refer to.
            FormatError: If one of them cannot be read any more.
        """
        from scnas_deploy.results.formats import source_for

        source_for(study, self.formats)

    def write(self, result: "Segmentation") -> tuple[Path, ...]:
        """Write a result; return its files."""
        if not self.formats:
            result.save(self.path)
            return (self.path,)
        from scnas_deploy.results.formats import write_results

        return write_results(result, self.path, self.formats)
