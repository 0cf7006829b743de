"""Why a result has its rank: rows, similarity, words that were found and words that met."""

import re
from dataclasses import replace

from quarry.app.ui.search import why
from quarry.indexer.messages import Message
from quarry.retriever.ranking import Evidence, StageReport, StageScore
from quarry.retriever.rerankers.alignment import Meeting
from tests.app.ui.languages import chinese, english
from tests.app.ui.pages_support import POISON
from tests.app.ui.search.test_search_presenter import ANSWER, RESULT


def test_movement_has_one_row_per_stage_that_saw_the_passage():
    rows = why.movement(ANSWER, "a#0-30", english)
    assert [(row["stage"], row["order"], row["rank"], row["chosen"]) for row in rows] == [
        ("Meaning (dense)", 0, 4, True),
        ("Words (BM25)", 1, 1, True),
        ("Combined", 2, 1, True),
    ]
    assert not any("Loans" in str(row) for row in rows), "texts of documents stay out of the chart"


def test_the_table_of_scores_has_every_stage_that_took_part():
    rows = why.score_rows(ANSWER, RESULT, chinese)
    assert [(row["阶段"], row["名次"], row["得分"]) for row in rows] == [
        ("语义（dense）", "4", "0.8100"),
        ("关键词（BM25）", "1", "7.5000"),
        ("融合", "1", "0.9000"),
    ]


def test_stems_are_shown_as_the_words_of_the_passage():
    evidence = replace(RESULT.evidence, terms=("addit", "续借", "cheap"))
    result = replace(RESULT, text="Additional 续借", highlights=((0, 10), (11, 13)), evidence=evidence)
    found = why.terms_html(result, english)
    assert "<mark>Additional</mark> <mark>续借</mark> <mark>cheap</mark>" in found
    assert "没有找到" in why.terms_html(replace(RESULT, evidence=Evidence()), chinese)


def test_a_stage_has_a_dash_for_a_result_that_it_did_not_rank_but_others():
    other = replace(
        RESULT, chunk_id="b#0-9", rank=2, evidence=Evidence(dense=StageScore(1, 0.9), fusion=StageScore(2, 0.5))
    )
    answer = replace(ANSWER, results=(RESULT, other))
    assert [row["Rank"] for row in why.score_rows(answer, other, english)] == ["1", "–", "2"]


def test_the_similarity_is_taken_apart_when_language_or_title_raised_it():
    evidence = replace(RESULT.evidence, raised=0.05, named=0.02)
    rows = why.similarity_rows(replace(RESULT, evidence=evidence), english)
    assert [list(row.values()) for row in rows] == [
        ["of the passage itself", "0.7400"],
        ["for its language, which is not the question's", "+0.0500"],
        ["for its title or heading, which is nearer", "+0.0200"],
        ["together", "0.8100"],
    ]
    title_alone = why.similarity_rows(replace(RESULT, evidence=replace(evidence, raised=0.0)), chinese)
    assert [row["得分"] for row in title_alone] == ["0.7900", "+0.0200", "0.8100"]
    assert why.similarity_rows(RESULT, english) == []
    assert why.similarity_rows(replace(RESULT, evidence=Evidence(raised=0.1)), english) == []


def test_what_the_stages_say_of_the_question_is_shown_in_both_languages():
    left = Message.of("rerankers.words_shared", "left as it is: the candidates share words with the query")
    raised = Message.of(
        "stages.other_language_raised",
        "passages in the other language were ordered by their tokens and raised by {most:.2f}",
        most=0.3,
    )
    answer = replace(ANSWER, stages=(StageReport("fusion", "ran", raised), StageReport("rerank", "ran", left)))
    english_html, chinese_html = why.notes_html(answer, english), why.notes_html(answer, chinese)
    assert "Combined: passages in the other language were ordered by their tokens and raised by 0.30" in english_html
    assert "Reranked: left as it is: the candidates share words with the query" in english_html
    assert "重排：保持原有顺序：候选段落与问题有共同的词" in chinese_html
    assert "0.30" in chinese_html
    assert why.notes_html(ANSWER, english) == "", "reasons of stages that were off are no notes"


def test_exact_matches_and_the_named_file_are_shown():
    evidence = replace(RESULT.evidence, exact=("E-17", POISON), file="docs/a.pdf")
    html = why.terms_html(replace(RESULT, evidence=evidence), english)
    assert "Found letter by letter: <mark>E-17</mark>" in html
    assert "The question names this file: docs/a.pdf" in html
    assert "<script>" not in html


def test_words_that_met_have_a_sign_a_bar_and_a_number():
    met = (
        Meeting("prime", "素数", 0.624),
        Meeting("Books", "books", 1.0),
        Meeting("of", "的", -0.2),
        Meeting(POISON, POISON, 0.5),
    )
    html = why.meetings_html(met, english)
    assert re.findall(r"<b>([^<]*)</b><span class='q-met-sign'>(.)</span><span>([^<]*)</span>", html)[:3] == [
        ("prime", "→", "素数"),
        ("Books", "=", "books"),
        ("of", "→", "的"),
    ]
    assert re.findall(r"width:(-?\d+)%", html) == ["62", "100", "0", "50"]
    assert re.findall(r"q-met-number'>([^<]*)<", html) == ["0.62", "1.00", "-0.20", "0.50"]
    assert "<script>" not in html
    assert "第二阶段的比较结果" in why.meetings_html(met, chinese)
    assert why.meetings_html((), english) == ""
