"""scnas draw: what a genotype describes, or how a run went, as SVG."""

from pathlib import Path
from typing import Annotated

import typer

from scnas_deploy.cli import options
from scnas_deploy.cli.console import say


def draw(
    source: Annotated[Path, typer.Argument(help="genotype.json, or the folder of a search or training run.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="SVG to write; left out, cells.svg or curves.svg here.")
    ] = None,
) -> None:
    """Draw a genotype's cells or stages, or a run's curves."""
    options.require_training()
    from scnas_deploy.drawing.curves import draw_curves
    from scnas_deploy.drawing.genotype import draw_genotype
    from scnas_deploy.files import write_text
    from scnas_deploy.networks.genotype import load_genotype

    if source.is_dir():
        target, picture = output or Path("curves.svg"), draw_curves(source)
    else:
        target, picture = output or Path("cells.svg"), draw_genotype(load_genotype(source))
    write_text(target, picture)
    say(f"Wrote {target}")
