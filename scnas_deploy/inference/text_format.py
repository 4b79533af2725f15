"""Protobuf's text format, written without protobuf: a package alone makes a server's configuration."""

from collections.abc import Iterator, Mapping


class Word(str):
    """A member of an enumeration, written without quotation marks."""

    __slots__ = ()


def text_format(message: Mapping[str, object]) -> str:
    """Write a message.

    Args:
        message: Field -> text, number, truth value, :class:`Word`, message, or a list of these for a repeated field.
    """
    return "".join(f"{line}\n" for line in _message_lines(message))


def _message_lines(message: Mapping[str, object]) -> Iterator[str]:
    for field, value in message.items():
        yield from _field_lines(field, value)


def _field_lines(field: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield f"{field} {{"
        yield from (f"  {line}" for line in _message_lines(value))
        yield "}"
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        for each in value:
            yield from _field_lines(field, each)
    elif isinstance(value, list):
        yield f"{field}: [{', '.join(map(_scalar, value))}]"
    else:
        yield f"{field}: {_scalar(value)}"


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Word | int):
        return str(value)
    return f'"{"".join(map(_escaped, str(value).encode()))}"'


def _escaped(byte: int) -> str:
    character = chr(byte)
    plain = 32 <= byte < 127 and character not in '"\\'
    return character if plain else f"\\{byte:03o}"
