"""The functions of the public namespace; see :mod:`scnas_deploy`."""

from collections.abc import Sequence
from pathlib import Path

from scnas_deploy.data.study import load_study
from scnas_deploy.data.volume import Volume
from scnas_deploy.inference.model import Model, SegmentOptions
from scnas_deploy.inference.model import load_model as open_model
from scnas_deploy.inference.models import user_models
from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.inference.trust import Trust, user_trust


def load_volume(path: Path | str | Sequence[Path | str]) -> Volume:
    """Read a study: a NIfTI file, one file a channel on one grid, or DICOM files, a folder or zip of one series.

    Raises:
        FormatError: If a file is missing or unreadable, or the files do not share one grid.
        GeometryError: If a file contradicts itself about the patient's orientation; its VerdictError, with
            ``verdicts``, if the DICOM planes form no regular grid.
        ChoiceError: If there is no DICOM series of images, or more than one.
    """
    paths = [path] if isinstance(path, Path | str) else path
    return load_study([Path(each) for each in paths])


def load_model(
    model: Path | str | None = None,
    *,
    engine: str = "auto",
    precision: str = "auto",
    num_threads: int | None = None,
    trusted_keys: Path | str | None = None,
    require_signature: bool = False,
) -> Model:
    """Open a model package, choose an engine and have it answer the package's canary.

    Args:
        model: A package file, the name of an installed model, or None for the default one.
        engine: 'auto', 'openvino', 'onnxruntime' or 'triton://HOST:PORT/MODEL'.
        precision: 'auto', 'float32', 'float16' or 'int8', if the package has it; 'auto' is float32 on a CPU.
        num_threads: Threads of the engine; None lets it choose.
        trusted_keys: A folder of public keys; None for the user's own, as on the command line.
        require_signature: Refuse a package without a valid signature by a trusted key.

    Raises:
        ConfigError: If there is no such model, engine or folder of keys, or no such precision with them.
        PackageError: If the package must not be trusted.
        EngineError: If the engine cannot load the network or answers wrongly.
    """
    path = user_models().resolve(None if model is None else str(model))
    trust = (
        user_trust(required=require_signature)
        if trusted_keys is None
        else Trust(folder=Path(trusted_keys), required=require_signature)
    )
    return open_model(path, engine=engine, precision=precision, num_threads=num_threads, trust=trust)


def segment(
    study: Volume | Path | str, model: Model | Path | str | None = None, *, force: bool = False
) -> Segmentation:
    """Segment a study.

    Args:
        study: A volume or a file of one.
        model: A loaded model, or what :func:`load_model` takes. Load it once for several studies.
        force: Segment a study even outside of what the model was made for.

    Returns:
        Labels on the study's own grid, with ``volumes_ml()`` and ``save(path)``.

    Raises:
        FormatError: If the study's channels are not the model's, or a voxel is not a number.
        FingerprintError: If the study lies outside the model's limits and ``force`` is False.
    """
    volume = study if isinstance(study, Volume) else load_volume(study)
    loaded = model if isinstance(model, Model) else load_model(model)
    return loaded.segment(volume, SegmentOptions(force=force))
