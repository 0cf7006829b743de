"""Every message of the source has its Chinese words, with the same parts and the same parameters, and can be shown in both languages."""

import ast
import re
from collections import defaultdict
from string import Formatter
from typing import Any

import pytest

from quarry.app.words import CHINESE_FILES, chinese, words
from quarry.indexer import errors
from quarry.indexer.messages import PARTS, Message
from tests import ROOT

_ERRORS = {
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.SearchError)
}
_CODE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")


def _text(node: ast.expr | None) -> str | None:
    """Return a literal; None for what is computed."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _made(tree: ast.AST, errors_here: set[str]) -> list[tuple[int, str, dict[str, str]]]:
    """Return line, code and templates of every message that a module makes."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name not in errors_here and name != "Message.of":
            continue
        code = _text(node.args[0]) if node.args else None
        if code is None or not _CODE.fullmatch(code):
            continue
        parts = {"found": _text(node.args[1]) if len(node.args) > 1 else None}
        parts |= {keyword.arg: _text(keyword.value) for keyword in node.keywords if keyword.arg in ("expected", "do")}
        computed = [part for part, text in parts.items() if text is None]
        assert not computed, f"line {node.lineno}: {code}: {computed} must be a literal template"
        found.append((node.lineno, code, {part: text for part, text in parts.items() if text}))
    return found


def _codes() -> dict[str, list[tuple[str, dict[str, str]]]]:
    codes = defaultdict(list)
    for package in ("indexer", "retriever", "training", "app"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            own = {
                c.name
                for c in ast.walk(tree)
                if isinstance(c, ast.ClassDef) and {ast.unparse(b) for b in c.bases} & _ERRORS
            }
            for line, code, parts in _made(tree, _ERRORS | own):
                codes[code].append((f"{path.relative_to(ROOT)}:{line}", parts))
    return dict(codes)


CODES = _codes()


def _names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def _examples(parts: dict[str, str]) -> dict[str, Any]:
    return {
        name: 3 if spec and ("|" in spec or spec[-1] in "df,%") else "X"
        for part in parts.values()
        for _, name, spec, _ in Formatter().parse(part)
        if name is not None
    }


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_message_can_be_shown_in_both_languages(code):
    sites = CODES[code]
    assert all(parts == sites[0][1] for _, parts in sites), f"{code} has several wordings: {sites}"
    parts = sites[0][1]
    assert code in chinese(), f"{code} ({sites[0][0]}) has no Chinese words; add it to app/words/*.zh.toml"
    other = chinese()[code]
    assert set(other) == set(parts), f"{code}: parts differ: {sorted(other)} and {sorted(parts)}"
    for part in parts:
        assert _names(other[part]) == _names(parts[part]), f"{code}.{part}: {other[part]} and {parts[part]}"
    message = Message(code, *(parts.get(part, "") for part in PARTS), params=_examples(parts))
    assert "{" not in words(message, "en")
    assert re.search(r"[\u4e00-\u9fff]", words(message, "zh"))


def test_no_chinese_words_are_left_over():
    left = sorted(set(chinese()) - set(CODES))
    assert not left, f"no message has these codes: {left}"


def test_each_code_is_in_one_file():
    import tomllib

    seen: dict[str, str] = {}
    for name in CHINESE_FILES:
        for code in tomllib.loads((ROOT / "app" / "words" / name).read_text(encoding="utf-8")):
            assert code not in seen, f"{code} is in {seen[code]} and {name}"
            seen[code] = name
