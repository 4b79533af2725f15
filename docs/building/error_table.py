"""The reference of errors, made from their classes."""

import inspect
from typing import Final

from scnas_deploy import errors
from scnas_deploy.errors import ScnasError

_HEAD: Final = """# Errors and exit statuses

An error that the user can do something about is one line on standard error: what it is about, what was expected, what
was found, and what to do. In Python it is an exception of `scnas_deploy.errors`; each is also the builtin that its
name suggests, so that `except ValueError` keeps its meaning.

| Exit status | Meaning |
| --- | --- |
| 0 | Done |
| 1 | Anything but what follows |
| 2 | The call or a settings file is wrong |
| 3 | The data are wrong: a study, a dataset, a package, a document |
| 4 | An optional dependency is not installed; the message has the command that installs it |
| 130 | Interrupted by Ctrl-C |

## The tree

"""


def page() -> str:
    """Write the page: statuses, the tree, a row a class."""
    tree = inspect.cleandoc(errors.__doc__ or "").split("::", 1)[1]
    rows = [_row(each) for each in vars(errors).values() if _is_ours(each)]
    table = ["| Class | Also a | Exit status | Meaning |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([_HEAD + "```text", inspect.cleandoc(tree), "```", "", "## The classes", "", *table, ""])


def _is_ours(each: object) -> bool:
    return isinstance(each, type) and issubclass(each, ScnasError)


def _row(kind: type[ScnasError]) -> str:
    builtin = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    summary = inspect.cleandoc(kind.__doc__ or "").split("\n\n", 1)[0].replace("\n", " ")
    return f"| `{kind.__name__}` | `{builtin.__name__}` | {kind.exit_status} | {summary} |"
