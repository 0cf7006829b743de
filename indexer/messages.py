"""Messages as values: a code, templates for what was found, what was expected and what to do, and parameters.

The library raises and reports messages; it never takes a sentence apart. Sentences are made where they are shown: `str(message)` is
English, and `quarry.app.words` has the Chinese templates under the same codes. Parameters stay values (numbers, paths, other
messages), so that a program can read them and each language can format them.

    message = Message.of(
        "index.passages_differ", "{path} holds {count:passage|passages}", expected="{wanted}", do="Run `quarry doctor {path}`",
        path="my-index", count=1, wanted=2,
    )
    str(message)    # my-index holds 1 passage; expected 2. Run `quarry doctor my-index`

A template holds `{name}`, `{name:FORMAT}` as in Python, or `{name:singular|plural}`, which writes the number with its noun.
Lists are joined by commas; `{name:;}` joins them by semicolons, for items that are sentences.
Attributes and indices are refused, because templates are read back from files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, TypeAlias

Param: TypeAlias = "str | int | float | bool | Message | Sequence[Any]"

PLAIN = "plain"  # the code of a sentence that came from elsewhere: an exception of another library, an older file
PARTS = ("found", "expected", "do")


@dataclass(frozen=True, slots=True)
class Message:
    """What happened, as a value.

    Attributes:
        code: Names the kind of message, `room.what`; the same templates wherever it is used.
        found: Template of what was found, or of what happened.
        expected: Template of what was expected; empty when nothing else was.
        do: Template of what to do; empty when there is nothing to do.
        params: The values of the templates' names.
    """

    code: str
    found: str
    expected: str = ""
    do: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)

    @classmethod
    def of(cls, code: str, found: str, *, expected: str = "", do: str = "", **params: Param) -> "Message":
        """Return the message with its parameters as keywords."""
        return cls(code, found, expected, do, params)

    @classmethod
    def plain(cls, text: str) -> "Message":
        """Return a sentence of another library, or of an older file, as a message."""
        return cls(PLAIN, "{text}", params={"text": text})

    @classmethod
    def from_json(cls, value: object) -> "Message":
        """Return the message that `as_json` wrote; a string, as older files have, becomes a plain one."""
        if not isinstance(value, Mapping):
            return cls.plain(str(value))
        params = value.get("params")
        values = {str(key): _param(item) for key, item in params.items()} if isinstance(params, Mapping) else {}
        code, found, expected, do = (str(value.get(key, "")) for key in ("code", *PARTS))
        return cls(code, found, expected, do, values)

    def as_json(self) -> dict[str, Any]:
        """Return the message for a JSON file."""
        parts = {part: getattr(self, part) for part in PARTS if getattr(self, part)}
        return {"code": self.code, **parts, "params": {key: _plain(value) for key, value in self.params.items()}}

    def part(self, name: str) -> str:
        """Return `found`, `expected` or `do` in English."""
        return filled(getattr(self, name), self.params, english)

    def __str__(self) -> str:
        """Return the message in English: `found; expected ... . Do`."""
        return english(self)

    def __hash__(self) -> int:
        """Equal messages have equal hashes; parameters may be lists."""
        return hash((self.code, self.found, self.expected, self.do))


def english(message: Message) -> str:
    """Return a message in English."""
    found, expected, do = (message.part(part) for part in PARTS)
    head = f"{found}; expected {expected}" if expected else found
    return f"{head}. {do}" if do else head


def filled(
    template: str,
    params: Mapping[str, Param],
    shown: Callable[[Message], str],
    comma: str = ", ",
    semicolon: str = "; ",
) -> str:
    """Fill a template.

    Args:
        template: Text with `{name}` fields.
        params: Their values.
        shown: How a parameter that is itself a message is written.
        comma: Separates the items of a list.
        semicolon: Separates the items of a list whose field says `;`.

    Returns:
        The text. A field without a value, or with an attribute or index, stays as it is written: a message is never lost.
    """
    if "{" not in template and "}" not in template:
        return template
    try:
        parsed = list(Formatter().parse(template))
    except ValueError:  # a lone brace, in a file that somebody edited
        return template

    def written(value: Any, spec: str) -> str:
        if isinstance(value, Message):
            return shown(value)
        if isinstance(value, list | tuple):
            between, spec = (semicolon, "") if spec == ";" else (comma, spec)
            return between.join(written(item, spec) for item in value)
        if "|" in spec:
            one, many = spec.split("|", 1)
            return f"{value:,} {one if value == 1 else many}" if isinstance(value, int | float) else f"{value} {many}"
        try:
            return format(value, spec)
        except (ValueError, TypeError):  # read back from a file as another type
            return str(value)

    pieces = []
    for text, name, spec, _ in parsed:
        pieces.append(text)
        if name is not None:
            pieces.append(written(params[name], spec or "") if name in params else _as_written(name, spec))
    return "".join(pieces)


def _as_written(name: str, spec: str | None) -> str:
    return f"{{{name}:{spec}}}" if spec else f"{{{name}}}"


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.as_json()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else str(value)


def _param(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Message.from_json(value)
    return [_param(item) for item in value] if isinstance(value, list) else value
