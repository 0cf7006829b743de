"""Every message of the source has its Chinese words, with the same parts and the same parameters, and can be shown in both languages."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from string import Formatter
from typing import Any

import pytest

from quarry.app.words import chinese, words
from quarry.indexer.messages import PARTS, Message
from tests import ROOT

ROOMS = {
    "indexer": "build shards lake storage stores models tokens lexical corpus readers opened records",
    "retriever": "search stages rerankers answers evaluation diagnosis benchmark data llm",
    "training": "feedback examples negatives fit tuning pairs synthesis",
    "app": "cli serve mcp ui integrations doctor app",
}
PACKAGE_OF = {room: package for package, rooms in ROOMS.items() for room in rooms.split()}
# These two modules make messages out of parts that they are given.
MAKERS = ("indexer/messages.py", "indexer/errors.py")
_CODE = re.compile(rf"({'|'.join(PACKAGE_OF)})(\.[a-z0-9_]+)+")


@dataclass(frozen=True)
class Site:
    """A place in the source that makes a message."""

    where: str
    package: str
    code: str
    parts: Mapping[str, str]
    missing: tuple[str, ...]  # names of the templates that get no value here


def _literal(node: ast.expr | None) -> str | None:
    """Return a literal; None for what is computed, f-strings and concatenations included."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def _specs(template: str) -> Iterator[str]:
    return (spec or "" for _, name, spec, _ in Formatter().parse(template) if name is not None)


def error_classes(trees: Mapping[str, ast.Module]) -> set[str]:
    """Return the names of `SearchError` and of all classes below it, whatever module they are in."""
    bases = {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"SearchError"}
    while more := {name for name, of in bases.items() if of & found} - found:
        found |= more
    return found


def sites(where: str, tree: ast.Module, errors: set[str]) -> list[Site]:
    """Return the messages that a module makes.

    Raises:
        AssertionError: If a code or a template is computed, or a message is made without `Message.of`.
    """
    aliases = {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, _, last = ast.unparse(node.func).rpartition(".")
        last = aliases.get(last, last)
        maker = aliases.get(head.rpartition(".")[2], head.rpartition(".")[2])
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        code = _literal(node.args[0] if node.args else keywords.get("code"))
        at = f"{where}:{node.lineno}"
        assert last != "Message" or where in MAKERS, f"{at}: use Message.of or Message.plain"
        is_message = last == "of" and maker == "Message"
        # One argument alone is a finished sentence, the older form, or another message.
        is_error = last in errors and (len(node.args) > 1 or bool(keywords))
        passed_on = code is not None and bool(_CODE.fullmatch(code)) and len(node.args) > 1
        if where in MAKERS or not (is_message or is_error or (passed_on and _literal(node.args[1]) is not None)):
            continue
        assert code is not None, f"{at}: the code must be a literal"
        assert _CODE.fullmatch(code), f"{at}: {code!r} is no code; expected room.what with one of the rooms of ROOMS"
        parts = {"found": node.args[1] if len(node.args) > 1 else keywords.get("found")}
        parts |= {part: keywords[part] for part in ("expected", "do") if part in keywords}
        texts = {part: _literal(value) for part, value in parts.items()}
        computed = [part for part, text in texts.items() if text is None]
        assert not computed, f"{at}: {code}: {computed} must be a literal template"
        named = {part: text for part, text in texts.items() if text}
        given = set(keywords)
        missing = () if None in given else tuple(sorted(set().union(*map(_names, named.values())) - given))
        found.append(Site(at, where.partition("/")[0], code, named, missing))
    return found


def _trees() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for package in ROOMS
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def _by_code() -> dict[str, list[Site]]:
    trees, codes = _trees(), defaultdict(list)
    errors = error_classes(trees)
    for where, tree in trees.items():
        for site in sites(where, tree, errors):
            codes[site.code].append(site)
    return dict(codes)


CODES = _by_code()


def _examples(parts: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: 3 if spec and ("|" in spec or spec[-1] in "dfg,%") else "X"
        for part in parts.values()
        for _, name, spec, _ in Formatter().parse(part)
        if name is not None
    }


def _by_room(codes: Iterable[str]) -> list[Any]:
    """The codes of each room: a test of a room takes what one of a code takes, and there are thousands of codes."""
    of_room = groupby(sorted(codes), lambda code: code.partition(".")[0])
    return [pytest.param(list(found), id=room) for room, found in of_room]


@pytest.mark.parametrize("codes", _by_room(CODES))
def test_every_message_can_be_shown_in_both_languages(codes):
    for code in codes:
        made = CODES[code]
        first = made[0]
        assert all(site.parts == first.parts for site in made), f"{code} has several wordings: {made}"
        assert code in chinese(), f"{code} ({first.where}) has no Chinese words; add it to app/words/*.zh.toml"
        other = chinese()[code]
        assert set(other) == set(first.parts), f"{code}: parts differ: {sorted(other)} and {sorted(first.parts)}"
        for part, template in first.parts.items():
            assert _names(other[part]) == _names(template), f"{code}.{part}: {other[part]} and {template}"
        message = Message(code, *(first.parts.get(part, "") for part in PARTS), params=_examples(first.parts))
        assert "{" not in words(message, "en"), code
        assert "{" not in words(message, "zh"), code
        assert re.search(r"[\u4e00-\u9fff]", words(message, "zh")), code


@pytest.mark.parametrize("codes", _by_room(CODES))
def test_every_name_of_a_template_gets_its_value_where_the_message_is_made(codes):
    for code in codes:
        for site in CODES[code]:
            assert not site.missing, f"{site.where}: {code} gives no value for {site.missing}"


@pytest.mark.parametrize("codes", _by_room(CODES))
def test_a_code_begins_with_a_room_of_its_package(codes):
    for code in codes:
        for site in CODES[code]:
            assert PACKAGE_OF[code.partition(".")[0]] == site.package, f"{site.where}: {code}"


@pytest.mark.parametrize("codes", _by_room(chinese()))
def test_chinese_words_have_chinese_signs_and_no_english_plurals(codes):
    for code in codes:
        for part, template in chinese()[code].items():
            assert not any("|" in spec for spec in _specs(template)), f"{code}.{part}: a plural form: {template}"
            beside = re.search(r"[\u4e00-\u9fff][,;:?!](?!\S)|[\u4e00-\u9fff][,;?!](?=[\u4e00-\u9fff])", template)
            assert not beside, f"{code}.{part}: Western punctuation: {template}"


def test_no_chinese_words_are_left_over():
    left = sorted(set(chinese()) - set(CODES))
    assert not left, f"no message has these codes: {left}"


@pytest.mark.parametrize("package", ROOMS)
def test_each_code_is_in_the_file_of_its_package(package):
    path = ROOT / "app" / "words" / f"{package}.zh.toml"
    strangers = [
        code
        for code in tomllib.loads(path.read_text(encoding="utf-8"))
        if PACKAGE_OF.get(code.partition(".")[0]) != package
    ]
    assert not strangers, f"{path.name} has codes of other packages: {strangers}"


ERRORS = {"SearchError", "ModelError"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('raise ModelError("models.x", f"{folder} is bad", folder=1)', "literal template"),
        ('raise ModelError("models.x", "a" + name, name=1)', "literal template"),
        ('raise ModelError("models." + name, "bad", name=1)', "code must be a literal"),
        ('raise errors.ModelError(f"models.{name}", "bad", name=1)', "code must be a literal"),
        ('raise ModelError("models.a" if x else "models.b", "bad")', "code must be a literal"),
        ('Message.of("models.x", "bad", do=advice)', "literal template"),
        ('messages.Message.of(code, "bad")', "code must be a literal"),
        ('Message("models.x", "bad")', "use Message.of"),
        ('from quarry.indexer.messages import Message as M\nM("models.x", "bad")', "use Message.of"),
        ('from quarry.indexer.messages import Message as M\nM.of(code, "bad")', "code must be a literal"),
        ('Message.of("nowhere.x", "bad")', "is no code"),
        ('give("models.x", "bad", do=advice)', "literal template"),
    ],
)
def test_a_message_that_cannot_be_looked_up_is_found(source, reason):
    with pytest.raises(AssertionError, match=reason):
        sites("retriever/made_up.py", ast.parse(source), ERRORS)


def test_a_missing_value_and_a_distant_subclass_are_found():
    tree = ast.parse(
        "class Far(Near): ...\nclass Near(base.ModelError): ...\nclass ModelError(SearchError): ...\n"
        'raise Far("models.x", "{folder} and {count:file|files}", do="See {folder}", count=1)'
    )
    errors = error_classes({"indexer/made_up.py": tree})
    assert errors == {"SearchError", "ModelError", "Near", "Far"}
    [site] = sites("indexer/made_up.py", tree, errors)
    assert (site.code, site.missing) == ("models.x", ("folder",))
