"""Words that users stumbled over stay away: one name for a thing on every page, on the command line and in the documentation."""

import ast
import re

import pytest

from quarry.app.ui.shared.vocabulary import method_name
from tests import ROOT
from tests.app.ui.languages import chinese, english
from tests.app.words.visible import visible

# A regular expression of what read oddly, and what stands there now. `^...$` is a word that is odd only as a whole label.
GONE = {
    # search methods
    "^(Both|Meaning|Words)$": "Hybrid (meaning + words), Meaning (dense), Words (BM25)",
    # Evaluate
    "Routes, the first one": "Search methods to compare (first = baseline)",
    "路线": "检索方式",
    "Measure of what follows": "Metric",
    "以下内容的指标": "指标",
    r"\bCut by\b": "Group by",
    "增益与损失": "提升与下降",
    "未显示出差异": "差异不显著",
    "^(更好|更差)$": "变好, 变差",
    "^划分|(的|指明)划分": "数据划分",
    # Index
    "各代|使用中的一代|另一代|最早的一代|第 ?[{][^}]*[}] ?代": "版本",
    "切换到它": "切换到此版本",
    "回退": "回滚",
    # Feedback
    "^Said$": "Judgement",
    "^the answer$": "marked as the answer",
    "判定": "标注",
    # Training
    "Let it answer": "Switch to the new model automatically if it proves better",
    "so they flatter": "so optimistic",
    # answers and uploads
    "[Ss]entences of your documents|no model was asked": "Quoted from your documents",
    "文档中的原句（": "摘自您的文档",
    "依据强度": "证据不足",
    "the content is no |expected what its name says": "not a real .docx file (wrong content)",
    # one name for a thing
    "嵌入模型": "向量模型",
    "词项检索": "关键词检索",
    "稠密": "语义",
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


@pytest.mark.parametrize(("old", "new"), GONE.items())
def test_a_word_that_read_oddly_is_nowhere_in_what_users_see(old, new):
    assert [found for found in visible() if re.search(old, found[1])] == [], f"say {new}"


def test_the_search_for_odd_words_looks_everywhere():
    places = {where.partition(":")[0].partition("/")[0] for where, _ in visible()}
    assert {
        "app",
        "indexer",
        "retriever",
        "training",
        "docs",
        "README.md",
        "app.zh.toml",
        "quarry tune --help",
    } <= places
    assert len(visible()) > 10_000


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
