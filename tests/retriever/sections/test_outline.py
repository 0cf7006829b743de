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


def test_an_unknown_section_names_those_that_there_are(chunks):
    with pytest.raises(UnknownSection, match="has no section 'Three'; expected one of .*Scope"):
        section(chunks, "rules.md", "Three")
    with pytest.raises(KeyError):
        outline(chunks, "nothing.md")
