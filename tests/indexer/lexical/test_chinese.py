"""The mapped dictionary cuts as jieba's own does, is read for a few characters only, and is made again when it is damaged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jieba
import pytest

from quarry.demo_corpus import documents_path
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lexical.words import MappedWords, write_words

ROOT = Path(__file__).resolve().parents[3]
WORDS = {"图书": 5, "图书馆": 3, "续借": 0, "book": 1, "𠮷": 7}
TEXTS = [
    "怎么续借图书馆的图书？",
    "黑死病在1348年到达英格兰，杀死了三分之一的人口",
    "深度学习框架的反向传播算法",
    "龘靐齉的读音𠮷",
    "水",
]


def mapped(tmp_path: Path, words: dict[str, int]) -> MappedWords:
    write_words(tmp_path / "w", words)
    return MappedWords.open(tmp_path / "w")


def test_a_word_list_is_read_as_it_was_written(tmp_path):
    found = mapped(tmp_path, WORDS)
    assert dict(found) == WORDS
    assert (len(found), found.total) == (5, 16)
    assert [found.get(word) for word in ("图", "图书", "图书馆员", "", "\ud800")] == [None, 5, None, None, None]


def test_an_empty_word_list_has_no_words(tmp_path):
    assert "图书" not in mapped(tmp_path, {})


@pytest.mark.parametrize("change", ["short", "cut", "changed", "another file"])
def test_a_damaged_word_list_is_refused(tmp_path, change):
    mapped(tmp_path, WORDS)
    content = (tmp_path / "w").read_bytes()
    bad = {
        "short": content[:10],
        "cut": content[:-1],
        "changed": content[:-1] + b"x",
        "another file": b"x" * len(content),
    }
    (tmp_path / "w").write_bytes(bad[change])
    with pytest.raises(IndexFormatError, match="is damaged"):
        MappedWords.open(tmp_path / "w")


def test_the_mapped_dictionary_cuts_every_text_as_jieba_does(tmp_path):
    jieba.initialize()
    words = mapped(tmp_path, jieba.dt.FREQ)
    cutter = jieba.Tokenizer()
    cutter.FREQ, cutter.total, cutter.initialized = words, words.total, True
    lines = (documents_path() / "zh" / "黑死病-1.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [*TEXTS, *("".join(str(value) for value in json.loads(line).values())[:2000] for line in lines)]
    for text in texts:
        assert list(cutter.cut_for_search(text)) == list(jieba.cut_for_search(text))


def cut_in_a_process(cache: Path, *texts: str) -> dict[str, object]:
    """Cut texts in a fresh process, and say whether jieba's whole dictionary was read."""
    code = (
        "import json, sys; from quarry.indexer.lexical.analyzer import analyzer; one = analyzer();"
        "terms = [one.tokens(text) for text in sys.argv[1:]]; import jieba;"
        "print(json.dumps({'terms': terms, 'whole': jieba.dt.initialized}))"
    )
    environment = {**os.environ, "QUARRY_CACHE": str(cache)}
    ran = subprocess.run(
        [sys.executable, "-c", code, *texts], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return {**json.loads(ran.stdout), "stderr": ran.stderr}


def test_one_question_reads_no_whole_dictionary_and_a_damaged_copy_is_made_again(tmp_path):
    first = cut_in_a_process(tmp_path, *TEXTS)
    assert first["whole"]  # there was nothing to map
    (copy,) = tmp_path.glob("*.words")
    second = cut_in_a_process(tmp_path, *TEXTS)
    assert second == {**first, "whole": False, "stderr": ""}
    assert cut_in_a_process(tmp_path, "how do I renew a book?")["whole"] is False
    assert cut_in_a_process(tmp_path, "续借图书" * 600)["whole"]  # more than a question
    copy.write_bytes(copy.read_bytes()[:-1])
    third = cut_in_a_process(tmp_path, *TEXTS)
    assert third["terms"] == first["terms"] and third["whole"]
    assert "is damaged" in third["stderr"]
    assert not cut_in_a_process(tmp_path, *TEXTS)["whole"]
