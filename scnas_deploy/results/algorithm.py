"""Who made a result: the model and this software, as DICOM identifies algorithms (PS3.3 10.16)."""

from importlib.metadata import version
from typing import Any, Final

from scnas_deploy.inference.segmentation import Segmentation
from scnas_deploy.results.library import highdicom

_DIGEST_SHOWN: Final = 16
_LONG_STRING: Final = 64
_FAMILY: Final = ("123110", "DCM", "Artificial Intelligence")


def software() -> str:
    """This software and its version."""
    return f"scnas-deploy {version('scnas-deploy')}"


def model_name(result: Segmentation) -> str:
    """The model, as a long string."""
    return f"scnas-deploy {result.model_name}"[:_LONG_STRING]


def model_version(result: Segmentation) -> str:
    """The model's digest, shortened, and the precision it was computed in."""
    return f"{result.model_digest[:_DIGEST_SHOWN]} {result.precision}"


def settings(result: Segmentation) -> dict[str, str]:
    """What else the result depends on: the engine, what was corrected of the planes, and in what limits were left."""
    origin = result.study.dicom
    told = {
        "engine": result.engine,
        "corrections": ", ".join(origin.all_corrections) if origin else "",
        "outside_limits": "; ".join(result.outside_limits),
    }
    return {name: value for name, value in told.items() if value}


def identification(result: Segmentation) -> Any:
    """For a segment."""
    library = highdicom()
    return library.AlgorithmIdentificationSequence(
        name=model_name(result),
        version=model_version(result),
        family=library.sr.CodedConcept(*_FAMILY),
        parameters=settings(result),
    )
