"""Words that users stumbled over stay away: one name for a thing on every page, on the command line and in the documentation."""

import ast
import re
import tomllib

import pytest

from quarry.app.ui.shared.vocabulary import method_name
from quarry.app.words import CHINESE_FILES
from tests import ROOT
from tests.app.ui.languages import chinese, english

# What stood on a page, and the page's sources; what stands there now is in the message of a failure.
GONE_ZH = {
    "路线": "检索方式",
    "以下内容的指标": "指标",
    "增益与损失": "提升与下降",
    "未显示出差异": "差异不显著",
    "各代": "版本",
    "使用中的一代": "当前版本",
    "另一代": "其他版本",
    "切换到它": "切换到此版本",
    "回退一代": "回滚到上一版",
    "判定": "标注",
    "依据强度": "证据不足",
}
GONE_EN = {
    "Measure of what follows": "Metric",
    "Cut by": "Group by",
    "Routes, the first one": "Search methods to compare (first = baseline)",
    "Said": "Judgement",
    "Let it answer when it is shown to be better": "Switch to the new model automatically if it proves better",
    "so they flatter": "so optimistic",
    "no model was asked": "Quoted from your documents",
}
PAGES = sorted((ROOT / "app" / "ui").rglob("*.py"))


def spoken() -> list[tuple[str, str, str]]:
    """Return (file, English, Chinese) of every `say("english", "chinese")` of the app, as the source has them."""
    calls = (
        (path, node)
        for path in PAGES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("say", "session.say") and len(node.args) == 2
    )
    return [
        (str(path.relative_to(ROOT)), ast.unparse(node.args[0]), ast.unparse(node.args[1]))
        for path, node in calls
        if all(isinstance(argument, ast.Constant | ast.JoinedStr) for argument in node.args)
    ]


def test_what_the_app_says_is_said_in_both_languages():
    said = spoken()
    assert len(said) > 250
    english_only = [
        (where, chinese)
        for where, _, chinese in said
        if re.search("[A-Za-z]{4}", re.sub(r"\{[^{}]*\}", "", chinese)) and not re.search("[\u4e00-\u9fff]", chinese)
    ]
    assert english_only == []


@pytest.mark.parametrize(("old", "new"), GONE_ZH.items())
def test_odd_chinese_has_gone(old, new):
    pages = [where for where, _, chinese in spoken() if old in chinese]
    words = [
        code
        for name in CHINESE_FILES
        for code, parts in tomllib.loads((ROOT / "app" / "words" / name).read_text(encoding="utf-8")).items()
        if any(old in text for text in parts.values() if isinstance(text, str))
    ]
    assert (pages, words) == ([], []), f"say {new}"


@pytest.mark.parametrize(("old", "new"), GONE_EN.items())
def test_odd_english_has_gone(old, new):
    assert [where for where, english, _ in spoken() if re.search(rf"\b{re.escape(old)}\b", english)] == [], f"say {new}"


def test_search_methods_have_one_name_everywhere():
    names = {"hybrid": "Hybrid (meaning + words)", "dense": "Meaning (dense)", "bm25": "Words (BM25)"}
    assert {route: method_name(route, english) for route in names} == names
    assert [method_name(route, chinese) for route in names] == [
        "混合（语义+关键词）",
        "语义（dense）",
        "关键词（BM25）",
    ]
    for where, said, _ in spoken():  # pages name a method by the vocabulary, not by words of their own
        if "vocabulary" not in where:
            assert not re.fullmatch(r"'(Both|Meaning|Words|Hybrid|Dense|BM25)'", said), where


def test_numbers_agree_with_their_nouns():
    """`1 examples` comes of a noun in the plural right after a number; `counted` and `{count:one|many}` know better."""
    nouns = "documents|passages|questions|queries|examples|files|events|groups|losses|wins|results|checks|judgements|visitors"
    wrong = [
        (where, said)
        for where, said, _ in spoken()
        if re.search(rf"\{{[^{{}}A-Z]*\}} (?:{nouns})\b", said) and "counted" not in said
    ]
    assert wrong == []
