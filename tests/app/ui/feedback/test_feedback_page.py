"""The page of feedback: golden rows of a small log, files that other tools read back, the page itself, poisoned texts."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from json import loads
from pathlib import Path
from zipfile import ZipFile

import pytest

from quarry.app.ui.feedback import downloads
from quarry.app.ui.feedback import presenter as shown
from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.session import feedback_path
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.texts.generation_texts import open_texts
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.searcher import Searcher
from quarry.training.examples.rows import read_training_rows
from quarry.training.feedback.events import EDITOR
from quarry.training.feedback.judgements import judgements, summary
from quarry.training.feedback.log import FeedbackEvent, FeedbackLog, StoredEvent
from tests.app.ui.languages import chinese, english
from tests.app.ui.pages_support import POISON, demo_index, markdown, open_page, texts
from tests.indexer.older import part_of

DAY = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ANNE, BO = "anne" + "0" * 28, "bo" + "0" * 30


def stored(*events: FeedbackEvent) -> tuple[StoredEvent, ...]:
    return tuple(StoredEvent(number, event) for number, event in enumerate(events, start=1))


LOG = stored(
    FeedbackEvent("How to renew?", "answer", ANNE, "000001", "loans#0-9", "loans", at=DAY),
    FeedbackEvent("how to renew?", "thumb_up", BO, "000001", "loans#0-9", "loans", at=DAY),
    FeedbackEvent("How to renew?", "thumb_down", ANNE, "000001", "hours#0-9", "hours", at=DAY),
    FeedbackEvent("怎么续借？", "thumb_up", ANNE, "000002", "loans#0-9", "loans", at=DAY + timedelta(days=1)),
    FeedbackEvent("怎么续借？", "thumb_down", BO, "000002", "loans#0-9", "loans", at=DAY + timedelta(days=1)),
    FeedbackEvent("节假日开放吗？", "note", BO, "000002", note="没有找到", at=DAY + timedelta(days=1)),
    FeedbackEvent("节假日开放吗？", "thumb_down", BO, "000002", "hours#0-9", "hours", at=DAY + timedelta(days=1)),
)
TITLES = {"loans": "Loans", "hours": ""}
TEXTS = {"loans#0-9": "Loans. Renew online.", "hours#0-9": "Open nine to five."}


def test_the_headline():
    assert shown.headline(summary(LOG), english) == [
        ("Events", "7"),
        ("Judged questions", "2"),
        ("Visitors", "2"),
        ("Agreement", "50%"),
        ("Open questions", "2"),
    ]
    assert shown.headline(summary(LOG[:1]), chinese)[3] == ("一致率", "-")
    assert "of 2 pairs of visitors" in shown.agreement_words(summary(LOG), english)
    assert "还没有两位访客" in shown.agreement_words(summary(LOG[:1]), chinese)


def test_whoever_writes_answers_is_named_and_no_visitor():
    log = (*LOG, *stored(FeedbackEvent("怎么续借？", "answer", EDITOR, "000002", "loans#0-9", "loans", at=DAY)))
    assert dict(shown.headline(summary(log), chinese))["访客"] == "2"
    assert shown.event_rows(log, TITLES, chinese, Clock(UTC))[0]["访客"] == "编辑"
    assert "editor" in [row["Visitor"] for row in shown.visitor_rows(log, english, Clock(UTC))]


def test_the_filter():
    def numbers(chosen):
        return [one.number for one in chosen.of(LOG)]

    assert numbers(shown.FeedbackFilter()) == [1, 2, 3, 4, 5, 6, 7]
    assert numbers(shown.FeedbackFilter("zh")) == [4, 5, 6, 7]
    assert numbers(shown.FeedbackFilter(since=DAY + timedelta(hours=1))) == [4, 5, 6, 7]
    assert numbers(shown.FeedbackFilter("en", DAY + timedelta(hours=1))) == []


def test_the_log_is_newest_first_with_shortened_visitors():
    rows = shown.event_rows(LOG, TITLES, english, Clock(UTC))
    assert len(rows) == 7
    assert rows[0]["Question"] == "节假日开放吗？"
    assert rows[-1] == {
        "When": "2026-11-20 09:30",
        "Visitor": "anne0000",
        "Judgement": "marked as the answer",
        "Question": "How to renew?",
        "Document": "Loans",
        "Note": "",
        "Language": "English",
        "Generation": "000001",
    }
    assert shown.event_rows(LOG, TITLES, chinese, Clock(UTC))[1]["留言"] == "没有找到"


def test_judgements_visitors_and_disputes():
    judged = shown.judgement_rows(judgements(LOG), TITLES, english, Clock(UTC))
    assert [(row["Question"], row["Grade"], row["Visitors"]) for row in judged] == [
        ("节假日开放吗？", "0 not relevant", "1"),
        ("how to renew?", "1 relevant", "2"),
        ("How to renew?", "0 not relevant", "1"),
    ]
    assert [
        (row["Visitor"], row["Events"], row["Judgements"], row["Questions"])
        for row in shown.visitor_rows(LOG, english, Clock(UTC))
    ] == [
        ("bo000000", 4, 3, 3),
        ("anne0000", 3, 3, 2),
    ]
    disputed = shown.disputed_rows(summary(LOG), LOG, TITLES, english)
    assert disputed == [{"Question": "怎么续借？", "Document": "Loans", "Visitors": "anne0000, bo000000"}]
    assert [row["Note"] for row in shown.note_rows(LOG, english, Clock(UTC))] == ["没有找到"]


def test_events_per_day():
    rows = shown.day_rows(LOG, english, Clock(UTC))
    assert sum(row["count"] for row in rows) == 7
    assert {row["day"] for row in rows} == {"2026-11-20", "2026-11-21"}
    assert {"day": "2026-11-21", "action": "not relevant", "count": 2} in rows


def test_training_rows_are_read_back(tmp_path):
    content, report = downloads.training_file(LOG, TEXTS.get)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    (row,) = read_training_rows(path)
    assert (row.query, row.pos, row.neg) == ("How to renew?", ("Loans. Renew online.",), ("Open nine to five.",))
    assert downloads.training_words(report, english) == [
        "1 question with a relevant passage.",
        "Left out: 1 question without a relevant passage.",
    ]
    _, gone = downloads.training_file(LOG, {}.get)
    assert "标注的段落已不在索引中" in downloads.training_words(gone, chinese)[-1]
    assert gone.rows == 0


def test_the_zip_is_a_data_set(tmp_path):
    content, report = downloads.beir_zip(LOG)
    assert content == downloads.beir_zip(LOG)[0]
    with ZipFile(BytesIO(content)) as file:
        assert file.namelist() == ["qrels/test.tsv", "queries.jsonl"]
        file.extractall(tmp_path)
    dataset = load_dataset(tmp_path)
    assert {query.text for query in dataset.queries} == {"How to renew?", "节假日开放吗？"}
    assert downloads.beir_words(report, english) == ["2 judged questions."]


# The page


@pytest.fixture
def index(tmp_path):
    return demo_index(tmp_path)


def write_log(index: Path, *events: FeedbackEvent) -> None:
    with FeedbackLog.open(feedback_path(index)) as log:
        for event in events:
            log.append(event)


def a_passage(index: Path, words: str) -> tuple[str, str]:
    table = open_texts(Generations(index).live())
    row = next(row for row in table.passages() if words in row.passage)
    return row.chunk_id, row.chunk_id.rpartition("#")[0]


@pytest.mark.parametrize(("language", "words"), [("en", "No feedback yet"), ("zh", "还没有任何反馈")])
def test_without_feedback_the_page_says_how_it_comes_and_makes_no_file(index, monkeypatch, language, words):
    at = open_page(index, monkeypatch, "feedback", language)
    assert not at.exception
    assert words in at.info[0].value
    assert not feedback_path(index).exists()


def test_the_page_shows_a_log_and_offers_files(index, monkeypatch):
    chunk_id, doc_id = a_passage(index, "cyanobacteri")
    write_log(
        index,
        FeedbackEvent("What are cyanobacteria?", "answer", ANNE, "000002", chunk_id, doc_id),
        FeedbackEvent("什么是蓝藻？", "thumb_down", BO, "000002", chunk_id, doc_id),
    )
    at = open_page(index, monkeypatch, "feedback")
    assert not at.exception
    assert [metric.value for metric in at.metric] == ["2", "2", "2", "-", "1"]
    log = at.dataframe[0].value
    assert log["Question"].tolist() == ["什么是蓝藻？", "What are cyanobacteria?"]
    assert log["Document"].tolist()[0].startswith("Chloroplast")
    assert "1 question with a relevant passage." in texts(at)
    assert [button.disabled for button in at.download_button] == [False, False]
    at.selectbox(key="feedback.language.en").set_value("zh").run()
    assert at.dataframe[0].value["Question"].tolist() == ["什么是蓝藻？"]
    assert [button.disabled for button in at.download_button] == [True, False]  # nothing relevant among these
    at.session_state["language"] = "zh"
    at.run()
    assert at.selectbox(key="feedback.language.zh").value == "zh"
    assert at.dataframe[0].value["问题"].tolist() == ["什么是蓝藻？"]


@pytest.mark.parametrize(
    ("language", "question", "answer", "words"),
    [
        (
            "en",
            "Who waters the plants?",
            "Ann waters the plants on Mondays.",
            ("Add the answer", "Answered (1)", "result 1"),
        ),
        ("zh", "谁负责浇花？", "行政部每周一负责浇花。", ("添加答案", "已答复（1）", "第 1 条")),
    ],
)
def test_an_open_question_is_answered_on_the_page_and_then_found(index, monkeypatch, language, question, answer, words):
    add, answered, place = words
    write_log(index, FeedbackEvent(question, "note", BO, "000002", note="**nothing** <b>there</b>"))
    at = open_page(index, monkeypatch, "feedback", language)
    assert not at.exception
    assert at.tabs[0].label.endswith(("Open questions: 1", "待解答的问题：1")) and at.expander[0].proto.expanded
    save = next(button for button in at.button if button.label == add)
    assert not save.disabled  # before anything is typed: a page hears of it only when the field is left
    save.click().run()
    assert at.warning and not at.success
    at.text_area[0].set_value(answer)
    next(button for button in at.button if button.label == add).click().run()
    assert not at.exception
    assert at.success and not any(tab.success for tab in at.tabs)  # another tab may be open by now
    assert not at.text_area
    assert answered in [expander.label for expander in at.expander]
    rows = [tuple(row) for table in at.dataframe for row in table.value.to_numpy()]
    assert any((row[0], row[2]) == (question, place) for row in rows), rows
    found = Searcher.open(index, rerank="none").search(question, 1).results[0]
    assert (found.title, found.text) == (question, answer)


def test_old_feedback_can_be_filtered_away(index, monkeypatch):
    write_log(
        index, FeedbackEvent("hours", "note", ANNE, "000001", note="none", at=datetime.now(UTC) - timedelta(days=10))
    )
    at = open_page(index, monkeypatch, "feedback")
    assert at.metric[0].value == "1"
    at.selectbox(key="feedback.period.en").set_value("week").run()
    assert not at.exception
    assert "No feedback in this selection." in at.info[0].value
    at.selectbox(key="feedback.period.en").set_value("month").run()
    assert at.metric[0].value == "1"


def test_new_feedback_appears_at_the_next_click(index, monkeypatch):
    write_log(index, FeedbackEvent("hours", "note", ANNE, "000001", note="one"))
    at = open_page(index, monkeypatch, "feedback")
    write_log(index, FeedbackEvent("hours", "note", ANNE, "000001", note="two"))
    at.run()
    assert at.metric[0].value == "2"


def test_a_damaged_log_and_a_damaged_index_are_said(index, monkeypatch):
    write_log(index, FeedbackEvent("hours", "thumb_up", ANNE, "000001", "c#0-1", "c"))
    part_of(index, "chunks.sqlite").write_bytes(b"no database")
    at = open_page(index, monkeypatch, "feedback")
    assert not at.exception
    assert "titles and training rows are missing" in at.warning[0].value
    assert [button.disabled for button in at.download_button] == [True, False]
    for extra in ("-wal", "-shm"):
        Path(f"{feedback_path(index)}{extra}").unlink(missing_ok=True)
    feedback_path(index).write_bytes(b"no database at all" * 100)
    at = open_page(index, monkeypatch, "feedback", "zh")
    assert not at.exception
    assert at.error[0].value == "无法读取反馈。"


def test_poisoned_feedback_stays_text(index, monkeypatch):
    chunk_id, doc_id = a_passage(index, "wolpertinger")
    write_log(
        index,
        FeedbackEvent(POISON, "thumb_down", POISON[:40], "000002", chunk_id, doc_id, note=POISON, language="**x**"),
    )
    at = open_page(index, monkeypatch, "feedback")
    assert not at.exception
    assert "<script>" not in markdown(at)
    assert "**" not in markdown(at)
    log = at.dataframe[0].value
    assert (log["Question"][0], log["Note"][0]) == (POISON, POISON)
    assert "<script>" in log["Document"][0]
    content, _ = downloads.training_file(
        stored(FeedbackEvent(POISON, "thumb_up", "s", "000002", chunk_id, doc_id)), {chunk_id: POISON}.get
    )
    assert loads(content)["pos"] == [POISON]
