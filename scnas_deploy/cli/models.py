"""scnas models: installed models and the default one."""

from pathlib import Path
from typing import Annotated

import typer

from scnas_deploy.cli.console import say, say_json, table
from scnas_deploy.cli.options import JsonOption, model_folder

app = typer.Typer(help="List installed models, install packages, choose the default.", invoke_without_command=True)


@app.callback()
def list_models(context: typer.Context, json: JsonOption = False) -> None:
    """List installed models; the default is marked."""
    if context.invoked_subcommand is not None:
        return
    models = model_folder()
    installed, default = models.installed(), models.default()
    shipped = [name for name in models.names() if name not in installed]
    if json:
        say_json({"folder": str(models.path), "models": installed, "shipped": shipped, "default": default})
        return
    origins = {**dict.fromkeys(installed, "installed"), **dict.fromkeys(shipped, "shipped")}
    table(["model", "origin", "default"], [[n, o, "yes" if n == default else ""] for n, o in origins.items()])
    if not installed:
        say(f"No model in {models.path}. Make one with scnas export, or add one with scnas models install PACKAGE.")


@app.command("install")
def install(package: Annotated[Path, typer.Argument(help="Package file (.scnas).")]) -> None:
    """Verify a package and install it under its own name."""
    from scnas_deploy.inference.package import open_package

    name = open_package(package).manifest.name
    say(f"Installed {model_folder().install(package, name)}")


@app.command("default")
def set_default(name: Annotated[str, typer.Argument(help="An installed model.")]) -> None:
    """Choose the model that is used where none is named."""
    model_folder().set_default(name)
    say(f"The default model is '{name}'.")
