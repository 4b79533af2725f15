"""scnas models: installed models and the default one."""

from pathlib import Path
from typing import Annotated

import typer

from scnas_deploy.cli.console import note, say, say_json, table
from scnas_deploy.cli.options import JsonOption, RequireSignatureOption, model_folder, trust

app = typer.Typer(help="List installed models, install packages, choose the default.", invoke_without_command=True)


@app.callback()
def list_models(context: typer.Context, json: JsonOption = False) -> None:
    """List installed models and who signed them; the default is marked."""
    if context.invoked_subcommand is not None:
        return
    models = model_folder()
    installed, default = models.installed(), models.default()
    shipped = [name for name in models.names() if name not in installed]
    signed = {name: _verdict(package) for name, package in models.packages().items()}
    if json:
        listed = {"models": installed, "shipped": shipped, "default": default, "signed": signed}
        say_json({"folder": str(models.path), **listed})
        return
    origins = {**dict.fromkeys(installed, "installed"), **dict.fromkeys(shipped, "shipped")}
    rows = [[n, origin, signed[n], "yes" if n == default else ""] for n, origin in origins.items()]
    columns = ["model", "origin", "signature", "default"]
    table(columns, rows, words=columns)
    if not installed:
        say(f"No model in {models.path}.")
        say("Make one with scnas export, or add one with: scnas models install PACKAGE")


def _verdict(package: Path) -> str:
    """What is to be said of a model's signature; one that is refused takes no other off the list."""
    from scnas_deploy.errors import ScnasError
    from scnas_deploy.inference.package import read_seal

    try:
        return str(trust().judge(package, read_seal(package)))
    except ScnasError as error:
        note(f"warning: {error}")
        return "refused"


@app.command("install")
def install(
    package: Annotated[Path, typer.Argument(help="Package file (.scnas).")],
    require_signature: RequireSignatureOption = False,
) -> None:
    """Verify a package and install it under its own name."""
    from scnas_deploy.inference.package import open_package

    opened = open_package(package)
    verdict = trust(require_signature=require_signature).judge(package, opened.seal)
    say(f"Installed {model_folder().install(package, opened.manifest.name)}, {verdict}")


@app.command("amend", short_help="Correct a package's codes, colours and series rules.")
def amend(
    package: Annotated[Path, typer.Argument(help="Package file (.scnas).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The corrected package.")],
    project: Annotated[
        Path, typer.Option("--project", help="Folder of the scnas.toml with the corrections.", file_okay=False)
    ] = Path(),
) -> None:
    """Correct a package's label codes, colours and series rules by a scnas.toml; a signature is left out."""
    from scnas_deploy.export.amending import amend_package
    from scnas_deploy.files import check_writable
    from scnas_deploy.project import load_project

    check_writable(output)
    plan = amend_package(package, load_project(project), output)
    coded = sum(label.code is not None for label in plan.labels)
    say(f"Wrote {output}: {coded} of {len(plan.labels)} labels have codes. Install it with scnas models install.")


@app.command("default")
def set_default(name: Annotated[str, typer.Argument(help="An installed model.")]) -> None:
    """Choose the model that is used where none is named."""
    model_folder().set_default(name)
    say(f"The default model is '{name}'.")
