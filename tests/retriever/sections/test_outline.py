"""The headings of a document and the text below one."""

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.searcher import Searcher
from quarry.retriever.sections.outline import UnknownSection, outline, section

TEXT = (
    "Before.\n\n# 一 总则\n\n"
    + "本规定适用于全体员工。" * 60
    + "\n\n## Scope\n\n"
    + "All sites. " * 200
    + "\n\n# Two\n\n"
    + "The end. " * 200
)


@pytest.fixture(scope="module")
def chunks(tmp_path_factory):
    root = tmp_path_factory.mktemp("outline") / "index"
    index_documents(root, [Document("rules.md", TEXT, "Rules")], None)
    return Searcher.open(root, rerank="none").index.chunks


def test_sections_are_in_order_and_hold_their_subsections(chunks):
    found = {one.path: one for one in outline(chunks, "rules.md")}
    assert [path for path in found if path] == ["一 总则", "一 总则 > Scope", "Two"]
    assert found["一 总则"].end >= found["一 总则 > Scope"].end
    assert found["一 总则"].tokens > found["一 总则 > Scope"].tokens


@pytest.mark.parametrize("name", ["一 总则 > Scope", "scope", "Scope"])
def test_a_section_is_named_by_its_path_or_its_last_heading(chunks, name):
    heading, text = section(chunks, "rules.md", name)
    assert heading.path == "一 总则 > Scope"
    assert text.startswith("## Scope")
    assert "The end." not in text


SHORT = "# 规则\n\n## 罚款\n\n每天两角。\n\n## File > Open\n\nOpens a file.\n\n```\n# no heading\n```\n\n### Waiver\n\nNothing for children.\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("罚款", "## 罚款\n\n每天两角。"),
        ("File > Open > Waiver", "### Waiver\n\nNothing for children."),
        ("规则 > File > Open", SHORT[SHORT.index("## File") :].rstrip()),
        ("规则", SHORT.rstrip()),
    ],
)
def test_headings_that_share_a_passage_are_sections_of_their_own(tmp_path, name, text):
    """Short sections are one passage; its heading is not all that the document has."""
    index_documents(tmp_path, [Document("short.md", SHORT)], None)
    chunks = Searcher.open(tmp_path, rerank="none").index.chunks
    assert len(chunks.passages_of("short.md")) == 1
    paths = [one.path for one in outline(chunks, "short.md")]
    assert paths == ["规则", "规则 > 罚款", "规则 > File > Open", "规则 > File > Open > Waiver"]
    assert section(chunks, "short.md", name)[1] == text


def test_code_has_no_headings(tmp_path):
    index_documents(tmp_path, [Document("a.py", "# not a heading\nx = 1\n", "", {"format": "code"})], None)
    chunks = Searcher.open(tmp_path, rerank="none").index.chunks
    assert [one.path for one in outline(chunks, "a.py")] == [""]


def test_an_unknown_section_names_those_that_there_are(chunks):
    with pytest.raises(UnknownSection, match="has no section 'Three'; expected one of .*Scope"):
        section(chunks, "rules.md", "Three")
    with pytest.raises(KeyError):
        outline(chunks, "nothing.md")
