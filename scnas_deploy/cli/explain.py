"""scnas segment --explain: every series of a DICOM study, and why it is taken or left."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from scnas_deploy.cli import options
from scnas_deploy.cli.console import say, say_json
from scnas_deploy.cli.terminal import printable

if TYPE_CHECKING:
    from scnas_deploy.data.dicom.choice import Candidate, Choice, SeriesChoice
    from scnas_deploy.data.dicom.scan import Scan


def explain_series(study: list[Path], model: Path, how: "SeriesChoice", *, as_json: bool) -> None:
    """Print what a study holds. JSON leaves out the descriptions, where somebody may have written a name."""
    from scnas_deploy.data.dicom.choice import choose
    from scnas_deploy.data.dicom.scan import scan

    found = scan(study)
    choice = choose(found, options.open_trusted(model).plan, how)
    if as_json:
        say_json({"series": [_entry(each, choice) for each in choice.candidates], "other_files": _others(found)})
        return
    for each in choice.candidates:
        number, described = _text(each, "SeriesNumber"), _text(each, "SeriesDescription")
        objects = len(each.series.instances)
        head = f"{each.number:3d}  {_text(each, 'Modality')}  {objects} object(s)  series {number}  {described}"
        say(printable(head.rstrip()))
        say(f"     {choice.why(each)}")
    for reason, count in sorted(_others(found).items()):
        say(f"{count} other file(s): {reason}")


def _entry(candidate: "Candidate", choice: "Choice") -> dict[str, object]:
    channels = [
        channel.name for channel, taken in zip(choice.channels, choice.taken, strict=True) if taken is candidate
    ]
    return {
        "number": candidate.number,
        "series_uid": candidate.series.uid,
        "modality": _text(candidate, "Modality"),
        "objects": len(candidate.series.instances),
        "taken_for": channels,
        "verdicts": [verdict.rule for verdict in candidate.judged.refused],
        "why": choice.why(candidate),
    }


def _others(found: "Scan") -> dict[str, int]:
    return dict(Counter(left.reason for left in found.left))


def _text(candidate: "Candidate", keyword: str) -> str:
    from scnas_deploy.data.dicom.attributes import text

    return text(candidate.series.header, keyword)
