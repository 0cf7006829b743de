"""What readers make of `allow`: a rule that is empty, long or oddly spelled never makes a document everybody's."""

import json

import pytest

from quarry.indexer.build import build_index
from quarry.indexer.opened import Index
from quarry.indexer.principals import Principals

BODY = "The gate keeper earns four thousand a month."
LONG = [f"group-{number:04d}" for number in range(100)]
FRONT = [
    "allow: board",
    "allow: [board]",
    "allow:\n  - board",
    "allow: []",
    "allow:",
    "Allow: board",
    "title: a: b\nallow:",
]
ROWS = [
    {"allow": "board"},
    {"allow": []},
    {"allow": None},
    {"allow": ""},
    {"ALLOW": ["board"]},
    {"allow": LONG},
    {"metadata": {"allow": ["board"]}},
    {"metadata": {"allow": []}},
    {"metadata": {"allow": None, "x": 1}},
    {"metadata": {"allow": LONG}},
]


def seen(tmp_path, name, content, principals):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / name).write_text(content, encoding="utf-8")
    build_index(tmp_path / "index", [tmp_path / "documents"], None)
    index = Index.open(tmp_path / "index")
    assert index.chunks.counts()[0] == 1
    return index.seen_by(principals).chunks.counts()[0] == 1


@pytest.mark.parametrize("front", FRONT)
def test_front_matter_hides_a_page(tmp_path, front):
    assert not seen(tmp_path, "pay.md", f"---\n{front}\n---\n\n{BODY}\n", Principals.of("ann"))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_hidden(tmp_path, row):
    assert not seen(tmp_path, "pay.jsonl", json.dumps({"id": "1", "text": BODY, **row}) + "\n", Principals.of("ann"))


@pytest.mark.parametrize("row", [{"allow": [*LONG, "ann"]}, {"allow": "bob, ann"}, {"metadata": {"Allow": "*"}}, {}])
def test_a_row_is_shown_to_whom_it_names(tmp_path, row):
    assert seen(tmp_path, "pay.jsonl", json.dumps({"id": "1", "text": BODY, **row}) + "\n", Principals.of("ann"))


def test_files_and_folders_of_hidden_documents_are_hidden(tmp_path):
    for name, allow in (("open", "*"), ("closed", "board")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.md").write_text(f"---\nallow: '{allow}'\n---\n\n{BODY}\n")
    build_index(tmp_path / "index", [tmp_path / "open", tmp_path / "closed"], None)
    texts = Index.open(tmp_path / "index").seen_by(Principals.of("ann")).chunks
    assert list(texts.roots()) == ["open"]
    assert texts.root_counts() == {"open": (1, 1)}
    assert texts.file(str(tmp_path / "closed" / "page.md")) is None
