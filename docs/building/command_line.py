"""The reference of the command line, made from the application itself."""

from typing import Any

import typer

from scnas_deploy.cli.main import app

_HEAD = """# Command line

Made from the program itself; `scnas COMMAND --help` says the same. Every command works without arguments in a folder
with [`scnas.toml`](scnas-toml.md) where that makes sense. Results for people go to standard output, those for programs
too with `--json`; errors are one line on standard error and an [exit status](errors.md).
"""


def page() -> str:
    """Write the page: a chapter a command."""
    root: Any = typer.main.get_command(app)
    chapters = [_HEAD]
    for name, command in root.commands.items():
        chapters.append(_chapter(command, f"scnas {name}", "##"))
        for inner, subcommand in getattr(command, "commands", {}).items():
            chapters.append(_chapter(subcommand, f"scnas {name} {inner}", "###"))
    return "\n".join(chapters)


def _chapter(command: Any, name: str, level: str) -> str:
    context = command.context_class(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    records = [each for parameter in command.params if (each := parameter.get_help_record(context)) is not None]
    rows = [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in records]
    table = ["| Argument or option | Meaning |", "| --- | --- |", *rows, ""] if rows else []
    return "\n".join([f"{level} {name}", "", command.help or "", "", "```text", usage, "```", "", *table])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
