"""Every file of the real collection: the strings that must come out do, the rest is a skip with the right reason."""

import json
import random
import re
from pathlib import Path

import pytest

from quarry.indexer.corpus.listing import Skipped, path_of
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.readers.base import ReadOptions

pytestmark = pytest.mark.data

SKIPS = {
    "office/MEDRPT-2024-PAT-3847_medical_report_scan.pdf": "no text",
    "mixed/pdf/non_text_searchable.pdf": "no text",
    "names/empty.txt": "empty",
    "malformed/truncated.pdf": "damaged",
    "malformed/truncated.docx": "damaged",
}
SAME_CHARSET = {
    "ascii": "utf-8",
    "utf-8-sig": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "mac-cyrillic": "mac-cyrillic",
}


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "ingest-docs"


@pytest.fixture(scope="module")
def events(folder):
    """Relative path -> what became of the file."""
    found = {}
    for event in read_corpus({"docs": folder}):
        path = path_of(event.source if isinstance(event, Skipped) else event.file.path)
        found[path.relative_to(folder).as_posix()] = event
    return found


def manifest(folder):
    return [json.loads(line) for line in (folder / "MANIFEST.jsonl").read_text(encoding="utf-8").splitlines()]


def visible(text, row):
    """Without our marks for equations; for PDF without white space, which depends on the reader."""
    text = re.sub(r"\$[^$\n]*\$", "", text) if row["format"] == "docx" else text
    return re.sub(r"\s+", "" if row["format"] == "pdf" or row["file"].endswith(".bom.txt") else " ", text)


def test_every_file_is_read_or_skipped_for_the_right_reason(folder, events):
    skips = {name: event.reason for name, event in events.items() if isinstance(event, Skipped)}
    assert skips == SKIPS
    assert {row["file"] for row in manifest(folder)} <= set(events)


def test_the_strings_that_must_come_out_do(folder, events):
    missing = []
    for row in manifest(folder):
        event = events[row["file"]]
        if isinstance(event, Skipped):
            assert row["must_include"] == [], row["file"]
            continue
        text = visible("\n".join(f"{document.title}\n{document.text}" for document in event.documents), row)
        missing += [(row["file"], words) for words in row["must_include"] if visible(words, row) not in text]
        missing += [(row["file"], words) for words in row.get("must_not_include", []) if words in text]
    assert missing == []


def test_charsets_are_the_right_ones(folder, events):
    wrong = {}
    for row in manifest(folder):
        event = events[row["file"]]
        if row.get("charset") and isinstance(event, ReadFile):
            found = event.documents[0].meta["charset"].replace("_", "-")
            if found != SAME_CHARSET.get(row["charset"], row["charset"]):
                wrong[row["file"]] = found
    assert wrong == {}


def test_texts_obey_the_law_of_records(events):
    for name, event in events.items():
        for document in event.documents if isinstance(event, ReadFile) else ():
            document.text.encode("utf-8")
            assert not re.search("[\0\r]", document.text), name
            assert document.text.strip(), name
            assert document.title or len(event.documents) > 1, name


def test_known_facts_of_single_files(events):
    (page_broken,) = events["mixed/docx/sample_docx_2_page_breaks.docx"].documents
    assert page_broken.text.count("\f") == 1
    (wiki,) = events["office/test_wikipedia.html"].documents
    assert "\n# Microsoft\n" in f"\n{wiki.text}"
    assert "\n## History\n" in wiki.text
    (front,) = events["mixed/markdown/zh-en-frontmatter.md"].documents
    assert "---" not in front.text[:10]
    assert front.title == "混合文档"
    (feed,) = events["office/test_rss.xml"].documents
    assert feed.title == "The Official Microsoft Blog"
    assert "\n## Ignite 2024: Why nearly 70%" in feed.text
    assert events["malformed/html-named.pdf"].documents[0].meta["format"] == "html"
    assert [problem.source[-2:] for problem in events["malformed/jsonl-broken-line.jsonl"].problems] == [":4"]
    (paper,) = events["mixed/pdf/react_paper.pdf"].documents
    assert paper.text.count("\f") == int(paper.meta["pages"]) - 1 > 5
    assert "chain-of-thought" in paper.text
    assert "\ufffe" not in paper.text


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_damaged_copies_of_real_files_never_stop_a_run(folder, tmp_path):
    """Bytes flipped, files cut, content under another name: 120 files, each read or skipped."""
    rng = random.Random(7)
    small = [row["file"] for row in manifest(folder) if (folder / row["file"]).stat().st_size < 120_000]
    for number in range(120):
        source = folder / rng.choice(small)
        content = bytearray(source.read_bytes())
        for _ in range(rng.randrange(1, 20) if content else 0):
            content[rng.randrange(len(content))] = rng.randrange(256)
        ending = rng.choice([source.suffix, source.suffix, Path(rng.choice(small)).suffix])
        cut = rng.choice([len(content), len(content), rng.randrange(len(content) + 1)])
        (tmp_path / f"{number:03}{ending.lower()}").write_bytes(content[:cut])
    events = list(read_corpus({"docs": tmp_path}, options=ReadOptions(parser_seconds=20)))
    assert len(events) == 120
    assert sum(isinstance(event, ReadFile) for event in events) > 20
    assert {event.reason for event in events if isinstance(event, Skipped)} <= {
        "empty",
        "no text",
        "encrypted",
        "unsupported format",
        "damaged",
        "archive bomb",
    }
