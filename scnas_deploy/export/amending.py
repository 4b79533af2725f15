"""Correcting what a package says of its labels and channels, without training: codes, colours, which series serve.

Neither the network nor what it was trained on changes. A signature would not cover the corrections and is left out.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from scnas_deploy.data.plan import Channel, CodedTerm, Label, Plan, SeriesRule
from scnas_deploy.documents import to_json
from scnas_deploy.errors import ConfigError
from scnas_deploy.files import atomic_path, sha256_of
from scnas_deploy.inference.package import MANIFEST, PLAN, SIGNATURE, open_package
from scnas_deploy.project import ChannelSettings, LabelSettings, Project

Settings = TypeVar("Settings", LabelSettings, ChannelSettings)


def amend_package(source: Path, project: Project, target: Path) -> Plan:
    """Write a package whose plan has a project's codes, colours and series rules.

    Args:
        source: The package.
        project: With the labels and channels of the same names as the package's.
        target: Where the corrected package goes, whole or not at all; may be the source.

    Returns:
        The corrected plan.

    Raises:
        ConfigError: If the project's labels or channels are others.
        PackageError: If the package must not be trusted.
        OutputError: If the target cannot be written.
    """
    package = open_package(source)
    plan = amended(package.plan, project)
    content = to_json(plan).encode()
    digests = {**package.manifest.digests, PLAN: sha256_of(content)}
    replaced = {PLAN: content, MANIFEST: to_json(package.manifest.model_copy(update={"digests": digests})).encode()}
    with atomic_path(target) as temporary, zipfile.ZipFile(source) as old, zipfile.ZipFile(temporary, "w") as new:
        for info in old.infolist():
            if info.filename != SIGNATURE:
                new.writestr(info, replaced.get(info.filename) or old.read(info))
    return plan


def amended(plan: Plan, project: Project) -> Plan:
    """Return the plan with a project's codes, colours and series rules.

    Raises:
        ConfigError: If the project's labels or channels are others.
    """
    labels = _matching("[labels]", {label.value: label.name for label in plan.labels}, project.labels)
    channels = _matching("[channels]", dict(enumerate(channel.name for channel in plan.channels)), project.channels)
    return plan.model_copy(
        update={
            "labels": tuple(_label(label, labels[label.value]) for label in plan.labels),
            "channels": tuple(_channel(channel, channels[index]) for index, channel in enumerate(plan.channels)),
        }
    )


def _matching(table: str, names: Mapping[int, str], settings: Mapping[int, Settings]) -> Mapping[int, Settings]:
    given = {key: each.name for key, each in settings.items()}
    if given != dict(names):
        raise ConfigError(
            f"scnas.toml, {table}",
            expected=f"the package's: {dict(names)}",
            found=f"{given}",
            remedy="Correct codes, colours and select only; other labels or channels need another model",
        )
    return settings


def _label(label: Label, settings: LabelSettings) -> Label:
    code = settings.code
    term = None if code is None else CodedTerm(value=code[0], scheme=code[1], meaning=code[2])
    return label.model_copy(update={"color": settings.color, "code": term})


def _channel(channel: Channel, settings: ChannelSettings) -> Channel:
    rules = tuple(SeriesRule(attribute=key, matches=value) for key, value in settings.select.items())
    return channel.model_copy(update={"select": rules})
