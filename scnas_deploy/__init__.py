"""From a 3-D medical segmentation dataset to a network a hospital can run. For research use only.

The public names, loaded when first used::

    load_volume(path) -> Volume        a study
    load_model(path_or_name) -> Model  a verified model package with a proven engine
    segment(study, model) -> Segmentation
    Genotype, Plan                     the data that parts hand over
    build(architecture, ...)           the only way from a genotype to a network (needs PyTorch)
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scnas_deploy.api import load_model, load_volume, segment
    from scnas_deploy.data.plan import Plan
    from scnas_deploy.networks.builder import build
    from scnas_deploy.networks.genotype import Genotype

__all__ = ["Genotype", "Plan", "build", "load_model", "load_volume", "segment"]

_HOMES = {
    "Genotype": "scnas_deploy.networks.genotype",
    "Plan": "scnas_deploy.data.plan",
    "build": "scnas_deploy.networks.builder",
    "load_model": "scnas_deploy.api",
    "load_volume": "scnas_deploy.api",
    "segment": "scnas_deploy.api",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
