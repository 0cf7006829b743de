"""The page of index and models: facts, switching with a confirmation, damage, checks."""

import json
import time
from datetime import UTC
from pathlib import Path

import pytest

from quarry.app.doctor import CheckResult
from quarry.app.ui.index import presenter as shown
from quarry.app.ui.shared.clock import Clock
from quarry.indexer.messages import Message
from quarry.indexer.models.listing import ModelRow
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.pointer import POINTER_NAME
from quarry.indexer.storage.writer_lock import writer_lock
from tests.app.ui.languages import chinese, english
from tests.app.ui.pages_support import demo_index, markdown, open_page, texts


@pytest.fixture
def index(tmp_path):
    return demo_index(tmp_path)


def test_the_table_of_generations(index):
    newest, oldest = shown.generation_rows(shown.generation_views(index), english, Clock(UTC))
    assert list(newest) == ["Generation", "State", "Documents", "Passages", "Model", "Made", "Reason", "Size"]
    assert (newest["Generation"], newest["State"], newest["Documents"]) == ("000002", "live", "70")
    assert (oldest["Generation"], oldest["State"], oldest["Documents"]) == ("000001", "kept", "68")
    assert newest["Model"] == "none: BM25 only"
    assert [row["原因"] for row in shown.generation_rows(shown.generation_views(index), chinese, Clock(UTC))] == [
        "更新",
        "首次建立",
    ]


def test_a_switch_is_put_in_words(index):
    live, other = shown.generation_views(index)
    first, second = shown.switch_words(live, other, english)
    assert first == "From generation 000002 to 000001."
    assert second.startswith("Documents 70 -> 68, passages ")
    assert shown.switch_words(live, other, chinese)[0] == "从版本 000002 切换到版本 000001。"


def test_a_damaged_generation_is_listed_with_its_reason(index):
    (index / "generations" / "000002" / "manifest.json").write_text("{", encoding="utf-8")
    newest, oldest = shown.generation_views(index)
    assert newest.live
    assert newest.manifest is None
    assert "not valid JSON" in str(newest.fault)
    row = shown.generation_rows((newest, oldest), english, Clock(UTC))[0]
    assert (row["State"], row["Documents"]) == ("live, damaged", "-")
    assert row["Reason"] == str(newest.fault)


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (4.5e9, "4.5 GB")]
)
def test_sizes_for_people(size, words):
    assert shown.megabytes(size) == words


def test_folder_bytes_counts_what_is_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"12345")
    (tmp_path / "y").write_bytes(b"123")
    assert shown.folder_bytes(tmp_path) == 8
    assert shown.folder_bytes(tmp_path / "y") == 3
    assert shown.folder_bytes(tmp_path / "gone") == 0


def test_disk_is_shown_by_part(index):
    (index / "feedback.sqlite").write_bytes(bytes(2000))
    (index / "feedback.sqlite-wal").write_bytes(bytes(500))
    rows = {row["What"]: row["Size"] for row in shown.disk_rows(index, english)}
    assert rows["Feedback"] == "2.5 kB"
    assert "Saved evaluations" not in rows
    assert list(rows)[-1] == "Free on this disk"


def test_checks_come_worst_first_and_each_command_once():
    results = [
        CheckResult("manifest", "ok", Message.plain("generation 000002")),
        CheckResult("model", "warning", Message.plain("no embedding model"), "quarry index --model auto"),
        CheckResult("counts", "failure", Message.plain("passages differ"), "quarry index --rebuild"),
        CheckResult("agreement", "failure", Message.plain("3 strangers"), "quarry index --rebuild"),
    ]
    rows = shown.check_rows(results, english)
    assert [row["Check"] for row in rows] == ["counts", "agreement", "model", "manifest"]
    assert [row["结果"] for row in shown.check_rows(results, chinese)] == ["✗ 故障", "✗ 故障", "! 注意", "✓ 正常"]
    assert shown.remedies(results) == ("quarry index --rebuild", "quarry index --model auto")


def test_models_that_are_here_come_first():
    rows = [
        ModelRow("BAAI/bge-m3", "embedder", "multilingual", 1024, 8192, 2272, "", None, "", ""),
        ModelRow("BAAI/bge-reranker-base", "reranker (cross-encoder)", "zh", None, 512, 1112, "cache", 1100, "/x", ""),
    ]
    first, second = shown.model_rows(rows, chinese)
    assert (first["模型"], first["本机"], first["类型"]) == (
        "BAAI/bge-reranker-base",
        "✓ 缓存",
        "重排模型 (cross-encoder)",
    )
    assert (first["占用"], first["维数"], first["内存"]) == ("1,100 MB", "-", "1.1 GB")
    assert (second["本机"], second["占用"]) == ("无", "-")


@pytest.mark.parametrize(("language", "title"), [("en", "Index and models"), ("zh", "索引与模型")])
def test_the_page_shows_the_live_generation(index, monkeypatch, language, title):
    at = open_page(index, monkeypatch, "index", language)
    assert not at.exception
    assert at.title[0].value == title
    assert [metric.value for metric in at.metric][:2] == ["000002", "70"]
    assert "--model auto --rebuild" in at.code[0].value  # how to add vectors to this index without any


def test_a_switch_needs_a_yes(index, monkeypatch):
    at = open_page(index, monkeypatch, "index")
    at.button(key="index.switch").click().run()
    assert "From generation 000002 to 000001." in texts(at)
    assert Generations(index).pointer().generation == "000002"
    at.button(key="index.no").click().run()
    assert "From generation" not in texts(at)
    assert Generations(index).pointer().generation == "000002"
    at.button(key="index.switch").click().run()
    at.button(key="index.yes").click().run()
    assert not at.exception
    assert Generations(index).pointer().generation == "000001"
    assert at.success[0].value == "Generation 000001 is live."
    assert at.metric[0].value == "000001"
    assert at.button(key="index.rollback").disabled  # it is the oldest


def test_rolling_back_is_written_into_the_history(index, monkeypatch):
    at = open_page(index, monkeypatch, "index", "zh")
    at.button(key="index.rollback").click().run()
    at.button(key="index.yes").click().run()
    assert str(Generations(index).pointer().history[-1].reason) == "rolled back in the app"
    tables = [table.value for table in at.dataframe if "原因" in table.value and "状态" not in table.value]
    assert tables[0]["原因"].tolist()[0] == "在应用中回滚"


def test_a_busy_index_is_not_switched(index, monkeypatch):
    at = open_page(index, monkeypatch, "index")
    at.button(key="index.rollback").click().run()
    with writer_lock(index):
        at.button(key="index.yes").click().run()
    assert at.error[0].value == "The generation was not switched."
    assert any("is being written by process" in code.value for code in at.code)
    assert Generations(index).pointer().generation == "000002"


def test_a_damaged_live_generation_can_be_left_by_rolling_back(index, monkeypatch):
    (index / "generations" / "000002" / "manifest.json").write_text("{", encoding="utf-8")
    at = open_page(index, monkeypatch, "index")
    assert not at.exception
    assert "damaged" in at.error[0].value
    at.button(key="index.rollback").click().run()
    at.button(key="index.yes").click().run()
    assert not at.exception
    assert not at.error
    assert at.metric[0].value == "000001"


def test_an_index_that_lost_its_pointer_says_so(tmp_path, monkeypatch):
    index = demo_index(tmp_path)
    (index / POINTER_NAME).unlink()
    at = open_page(index, monkeypatch, "index")
    assert not at.exception
    assert at.error[0].value == "This folder cannot be used as an index."
    assert at.code[0].value


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_checks_run_beside_the_page(index, monkeypatch, language):
    at = open_page(index, monkeypatch, "index", language)
    at.button(key="index.check").click().run()
    deadline = time.monotonic() + 60
    while not (tables := [t.value for t in at.dataframe if {"Check", "检查"} & set(t.value)]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        at.run()
    assert not at.exception
    assert "✓ ok" in tables[0].to_string() or "✓ 正常" in tables[0].to_string()
    assert any("--model auto" in code.value for code in at.code)


def test_what_a_manifest_says_is_shown_as_text(index, monkeypatch):
    path = index / "generations" / "000002" / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["checksum"]  # written by someone else, who made none
    content["notes"] = ["<b>note</b> **bold** [x](http://x.invalid)"]
    content["reason"] = "**reason**"
    Path(path).write_text(json.dumps(content), encoding="utf-8")
    at = open_page(index, monkeypatch, "index")
    assert not at.exception
    assert any(text.value == "<b>note</b> **bold** [x](http://x.invalid)" for text in at.text)
    assert "**" not in markdown(at)
