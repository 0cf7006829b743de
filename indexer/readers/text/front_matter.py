"""The facts before a Markdown text: YAML between lines of `---`, TOML between lines of `+++`.

YAML is read as version 1.2 reads it: `no` and `on` are text, `08:30` is a time and not 510, `0123` keeps its zero, and dates stay as they
are written. What is not valid YAML, such as a title with a colon, is read line by line, and the reader says how many lines were lost.
"""

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any, ClassVar

from quarry.indexer.metadata import MOST_FACTS, cleaned
from quarry.indexer.principals import is_rule

_LONGEST = 65_536  # characters of front matter; longer blocks are text
_BLOCK = re.compile(r"\A(?P<fence>---|\+\+\+)[ \t]*\n(?P<block>(?s:.){0,65536}?\n)??(?P=fence)[ \t]*(?:\n|\Z)")
_FIELD = re.compile(r"^([A-Za-z_\u3400-\u9fff][\w-]*):(?:[ \t]+(.*))?$")
_MOST_INDENTED = 32  # levels; the parser of YAML works down a level by a call of itself


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What stands before a text.

    Attributes:
        facts: By lower-case name; values are JSON's.
        end: Where the text begins.
        lost: Lines that could not be read.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    end: int = 0
    lost: int = 0


def front_matter(text: str) -> FrontMatter:
    r"""Read the front matter of a text; without one, its `end` is 0.

    Example:
        >>> front_matter("---\ntags: [budget, memo]\nauthor: {name: Finch}\n---\nText").facts
        {'tags': ['budget', 'memo'], 'author': {'name': 'Finch'}}
    """
    match = _BLOCK.match(text)
    if match is None:
        return FrontMatter()
    block = match["block"] or ""
    found = _toml(block) if match["fence"] == "+++" else _yaml(block)
    if found is None:
        if match["fence"] == "+++":  # no front matter, but a text that begins like one
            return FrontMatter()
        facts, lost = _lines(block)
        if lost > len(facts):  # two rules with prose between them
            return FrontMatter()
        return FrontMatter(facts, match.end(), lost)
    return FrontMatter(_named(found), match.end())


def _named(found: dict[Any, Any]) -> dict[str, Any]:
    """Return what has a value, under lower-case names; who may see a document is kept without one, too, since that is nobody."""
    facts: dict[str, Any] = cleaned(found, str)
    kept = {name.lower(): value for name, value in facts.items()}
    return {name: value for name, value in kept.items() if value not in (None, "", [], {}) or is_rule(name)}


def _toml(block: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(block)
    except (ValueError, RecursionError):  # tomllib's own error is a ValueError
        return None


def _yaml(block: str) -> dict[Any, Any] | None:
    import yaml

    if block.count("[") + block.count("{") > MOST_FACTS:
        return None
    try:
        found = yaml.load(block, Loader=_loader())  # noqa: S506 (a SafeLoader with fewer types)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _loader() -> Any:
    """Return PyYAML's safe loader with the types of YAML 1.2, and without aliases, which can multiply a few bytes into gigabytes."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML ships no types
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not read")
            return super().compose_node(parent, index)

    for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
        ("float", r"[-+]?(?:0|[1-9][0-9]*)?\.[0-9]+(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), list(first))
    return Loader


def _lines(block: str) -> tuple[dict[str, Any], int]:
    """Read `key: value` lines, with a list below a key or in brackets; return how many lines are neither."""
    facts: dict[str, Any] = {}
    key, lost = "", 0
    for line in block.splitlines():
        if match := _FIELD.match(line):
            key, facts[match[1].lower()] = match[1].lower(), _value((match[2] or "").strip())
        elif key and line.lstrip().startswith("- ") and isinstance(facts[key] or [], list):
            facts[key] = [*(facts[key] or []), _unquoted(line.lstrip()[2:].strip())]
        elif line.strip() and not line.lstrip().startswith("#"):
            lost += 1
    return {name: value for name, value in facts.items() if value or is_rule(name)}, lost


def _value(text: str) -> str | list[str]:
    if text[:1] == "[" and text[-1:] == "]":
        return [_unquoted(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    return _unquoted(text)


def _unquoted(text: str) -> str:
    return text.strip("\"'")
