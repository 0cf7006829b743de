"""Metadata is what its author wrote: lists, numbers, dates and nested values, found by element and compared by value."""

import pytest

from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import BadFilter
from quarry.indexer.metadata import facts, period_of
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.texts.conditions import parse_expression
from tests.field.reading import document, read

SETTINGS = BuildOptions(analyzer="bigram")
YAML = """---
title: 泵房巡检
date: 2025-02-28
labels:
  - pumps
  - 巡检
owner:
  name: Rivera
  floors: [2, 3]
shift: no
start: 08:30
code: 0042
budget: 1250.50
open: true
---
Check the seals.
"""
TOML = """+++
title = "Pump plan"
date = 2025-03-31
labels = ["pumps", "plan"]
[owner]
name = "Okafor"
+++
Replace the seals.
"""


@pytest.fixture
def matching(tmp_path):
    """Return a function that gives the first letters of the documents that filters find."""
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text(YAML)
    (folder / "b.md").write_text(TOML)
    rows = '{"id": "c", "text": "Seals are listed.", "metadata": {"date": "2025年4月1日", "budget": 980, "labels": "list", "open": false}}\n'
    (folder / "c.jsonl").write_text(rows)
    build_index(tmp_path / "ix", [folder], None, SETTINGS)
    chunks = Index.open(tmp_path / "ix").chunks

    def found(**filters):
        by_key = {key.replace("__", "."): wanted for key, wanted in filters.items()}
        return sorted(chunk.removeprefix("notes/")[0] for chunk in chunks.matching(by_key))

    return found


def test_front_matter_keeps_its_types_and_leaves_the_text(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(YAML)
    one = document(path)
    assert one.text.strip() == "Check the seals."
    assert one.title == "泵房巡检"
    assert one.meta["labels"] == ["pumps", "巡检"]
    assert one.meta["owner"] == {"name": "Rivera", "floors": [2, 3]}
    assert (one.meta["shift"], one.meta["start"], one.meta["code"]) == ("no", "08:30", "0042")
    assert (one.meta["budget"], one.meta["open"]) == (1250.5, True)


def test_toml_front_matter_is_metadata(tmp_path):
    path = tmp_path / "b.md"
    path.write_text(TOML)
    one = document(path)
    assert (one.title, one.text.strip()) == ("Pump plan", "Replace the seals.")
    assert (one.meta["date"], one.meta["owner"]) == ("2025-03-31", {"name": "Okafor"})


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"labels": ["pumps"]}, "ab"),
        ({"labels": "巡检"}, "a"),
        ({"labels": ["list", "plan"]}, "bc"),
        ({"labels": "!=pumps"}, "c"),
        ({"owner__name": "Okafor"}, "b"),
        ({"owner__floors": "3"}, "a"),
        ({"Labels": "pumps"}, "ab"),
        ({"date": "2025-*"}, "ab"),
        ({"date": "2025-03"}, "b"),
        ({"date": "2025"}, "abc"),
        ({"date": "2025-04-01"}, "c"),
        ({"date": ">=2025-03-31"}, "bc"),
        ({"date": ">2025-03"}, "c"),
        ({"date": "<=2025-03"}, "ab"),
        ({"date": [">=2025-03-01", "<2025-04-01"]}, "b"),
        ({"budget": "<1000"}, "c"),
        ({"budget": ">= 1,250"}, "a"),
        ({"budget": 980}, "c"),
        ({"budget": "980.0"}, "c"),
        ({"budget": {"$gt": 900, "lt": 1000}}, "c"),
        ({"open": True}, "a"),
        ({"open": {"ne": True}}, "bc"),
        ({"labels": {"$in": ["plan"]}, "date": {"gte": "2025"}}, "b"),
    ],
)
def test_a_filter_compares_values(matching, filters, expected):
    assert matching(**filters) == list(expected)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"budget": ">=cheap"}, "compares with cheap; expected a number or a date"),
        ({"labels": ">3"}, r"values such as '.*', which >3 cannot be compared with"),
        ({"labels": {"near": "pumps"}}, "has the operator near; expected one of eq"),
    ],
)
def test_what_cannot_be_compared_is_said(matching, filters, words):
    with pytest.raises(BadFilter, match=words):
        matching(**filters)


def test_an_expression_without_an_operator_is_no_filter():
    assert parse_expression("author=R&D = core") == ("author", "R&D = core")
    assert parse_expression("price < 10") == ("price", "< 10")
    with pytest.raises(BadFilter, match="the filter 'lang' is not KEY=VALUE"):
        parse_expression("lang")


def test_a_program_stores_what_its_metadata_holds(tmp_path):
    meta = {"price": 9.0, "tags": ["x", {"kind": "y"}], "none": None, "broken": float("nan")}
    index_documents(tmp_path / "ix", [Document("d", "Seals and valves.", "", meta)], None, SETTINGS)
    chunks = Index.open(tmp_path / "ix").chunks
    assert chunks.document("d").meta == {**meta, "broken": "nan"}
    assert chunks.matching({"price": 9, "tags.kind": "y"})


def test_front_matter_that_is_no_yaml_is_read_by_lines_and_what_is_lost_is_told(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("---\ntitle: Pumps: a list\nlabels: [one, two]\n   stray\n---\nText.\n")
    event = read(path)
    (one,) = event.documents
    assert (one.title, one.meta["labels"]) == ("Pumps: a list", ["one", "two"])
    assert [skip.reason for skip in event.problems] == ["partly read"]
    assert one.meta["left_out"] == "1 lines of front matter"


def test_prose_between_two_rules_stays_text(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("---\nA first paragraph.\n\n---\nA second one.\n")
    assert "first paragraph" in document(path).text


def test_an_alias_does_not_multiply(tmp_path):
    path = tmp_path / "a.md"
    lines = [
        "a: &a [x, x, x, x, x, x, x, x]",
        *(f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
    path.write_text("---\n" + "\n".join(lines) + "\n---\nText.\n")
    assert len(str(document(path).meta)) < 2_000


@pytest.mark.parametrize("text", ["2025-06-31", "2025-13-01", "Smarch 3, 2025", "20250401", "1.2.3", ""])
def test_what_is_no_day_is_no_date(text):
    assert period_of(text) is None


def test_the_values_of_one_document_are_bounded():
    assert len(list(facts({"n": list(range(5_000))}))) == 1_000
