"""What the search page says, without the page."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarry.app.ui.search import asked as address
from quarry.app.ui.search import presenter as words
from quarry.app.ui.search.asked import Asked
from quarry.app.ui.search.export import to_csv
from quarry.indexer.messages import Message
from quarry.retriever.answers.refusals.fit import Strength
from quarry.retriever.ranking import Evidence, Query, StageReport, StageScore
from quarry.retriever.results import Answer, Result
from tests.app.ui.languages import chinese, english

RESULT = Result(
    rank=1,
    score=0.9,
    stage="fusion",
    chunk_id="a#0-30",
    doc_id="a",
    title="Loans",
    heading="Loans > Rules",
    source="docs/a.pdf",
    page=3,
    start=0,
    end=30,
    text="Renew <b>books</b> twice.",
    highlights=((0, 5),),
    meta={},
    evidence=Evidence(dense=StageScore(4, 0.81), bm25=StageScore(1, 7.5), fusion=StageScore(1, 0.9), terms=("renew",)),
)
ANSWER = Answer(
    Query("renew", "renew"),
    "hybrid",
    (RESULT,),
    (
        StageReport("dense", "ran", None, 40.0, 9),
        StageReport("bm25", "ran", None, 1.25, 4),
        StageReport("rerank", "off", Message.plain("none here")),
    ),
    (),
    "000007",
    "a/model",
    43.2,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        Asked,
        query=st.text(max_size=60),
        route=st.sampled_from(address.ROUTES),
        rerank=st.booleans(),
        k=st.sampled_from(address.COUNTS),
        copies=st.booleans(),
        newest=st.booleans(),
        filters=st.dictionaries(
            st.text(min_size=1, max_size=9), st.lists(st.text(max_size=9), min_size=1, max_size=3)
        ).map(lambda found: tuple((key, tuple(values)) for key, values in found.items())),
    ),
    st.builds(Asked, route=st.sampled_from(address.ROUTES), rerank=st.booleans()),
)
def test_an_address_gives_back_what_was_asked(asked, default):
    assert Asked.from_params(asked.to_params(default), default) == asked


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["q", "route", "rerank", "k", "f", "x"]), st.lists(st.text(max_size=20))))
def test_any_address_can_be_read(params):
    asked = Asked.from_params(params, Asked())
    assert asked.k in address.COUNTS
    assert asked.route in address.ROUTES


def test_a_very_long_query_stays_out_of_the_address():
    assert Asked(query="书" * 1_501).to_params(Asked()) == {}
    assert Asked(query="书" * 1_500).to_params(Asked())["q"] == ["书" * 1_500]


def test_a_result_shows_title_heading_place_and_text_as_text():
    html = words.result_html(RESULT) + words.place_html(RESULT, english)
    assert "<span class='q-rank'>1</span><b>Loans</b><span class='q-path'> › Loans &gt; Rules</span>" in html
    assert "<mark>Renew</mark> &lt;b&gt;books&lt;/b&gt; twice." in html
    assert "docs/a.pdf</span> · page 3 · <span class='q-info' title='characters 0–30'" in html
    assert "第 3 页 · <span class='q-info' title='第 0–30 字符'" in words.place_html(RESULT, chinese)


def test_a_title_that_begins_the_passage_is_not_shown_twice():
    result = replace(RESULT, heading="", text="# Loans\n\nRenew books.", highlights=((2, 7), (9, 14)))
    html = words.result_html(result)
    assert html.count("Loans") == 1
    assert "<div class='q-text'><mark>Renew</mark> books.</div>" in html
    assert "Loans</div>" in words.result_html(replace(result, text="# Loans", highlights=())), "all there is, is shown"


def test_the_context_marks_the_passage_and_is_cut():
    text = "a" * 3_000 + "the passage" + "b" * 10
    html = words.context_html(text, (3_000, 3_011), ((4, 11),))
    assert "<span class='q-passage'>the <mark>passage</mark></span>bbbbbbbbbb</div>" in html
    assert html.count("a") < 2_050
    assert "… a" in html


def test_times_name_what_ran_and_what_answered():
    made = "generation 000007 · a/model"
    info = f"<span class='q-info' title='{made}' aria-label='{made}'>ⓘ</span>"
    line = f"<b>1 result in 43 ms</b> · Meaning (dense) 40 ms · Words (BM25) 1.2 ms {info}"
    assert words.times_html(ANSWER, english, rerank=False) == f"<div class='q-times'>{line}</div>"
    assert words.times_html(ANSWER, english, rerank=True) == (
        f"<div class='q-times'>{line} · not reranked: no reranker on this machine</div>"
    )


@pytest.mark.parametrize(
    ("report", "says"),
    [
        (StageReport("dense", "missing", Message.plain("no <vectors>")), "Search by meaning did not run"),
        (StageReport("dense", "failed", Message.plain("no <vectors>")), "Search by meaning did not run"),
        (StageReport("rerank", "failed", Message.plain("no <vectors>")), "were not reranked"),
        (StageReport("rerank", "partial", Message.plain("no <vectors>")), "ran out of time"),
    ],
)
def test_every_degradation_is_put_in_words_in_both_languages(report, says):
    html = words.degraded_html((report,), english)
    assert says in html
    assert "Reason: No &lt;vectors&gt;." in html
    in_chinese = words.degraded_html((report,), chinese)
    assert "原因" in in_chinese
    assert "Reason" not in in_chinese


def test_a_whole_answer_has_no_banner():
    assert words.degraded_html(ANSWER.stages, english) == ""


def test_menus_are_made_of_keys_with_a_choice():
    values = {
        "format": [("pdf", 2), ("md", 1)],
        "lang": [("en", 3)],
        "source": [("a", 1), ("b", 1)],
        "answers": [("who waters the plants?", 1), ("谁浇花？", 1)],  # of written answers
        "written": [("2026-11-26", 1), ("2026-11-27", 1)],
        "isbn": [(str(number), 1) for number in range(51)],
    }
    assert words.filter_menus(values) == {"format": {"pdf": 2, "md": 1}}


def test_examples_are_questions_or_different_titles():
    assert words.examples(("q1", "q2"), ("t",)) == ["q1", "q2"]
    assert words.examples((), ("t", "t", " ", "u", "v", "w", "x")) == ["t", "u", "v", "w"]


def test_a_spreadsheet_runs_nothing():
    poisoned = replace(RESULT, title='=HYPERLINK("http://x")', text="+1", source="@x", heading="-1", score=-2.5)
    line = to_csv(replace(ANSWER, results=(poisoned,))).decode("utf-8-sig").splitlines()[1]
    assert line == 'renew,1,-2.5,fusion,"\'=HYPERLINK(""http://x"")",\'-1,\'@x,3,0,30,a#0-30,\'+1'


@pytest.mark.parametrize(
    "start", ["＝1+1", "＋1", "－1", "＠SUM(A1)", " =1+1", "  ＝1", "\n=1", "\t=1", "@x", "-1", "+1", "=1"]
)
def test_a_spreadsheet_runs_nothing_in_wide_letters_and_behind_blanks(start):
    poisoned = replace(RESULT, title=start, source="a")
    line = to_csv(replace(ANSWER, results=(poisoned,))).decode("utf-8-sig")
    assert f"'{start}" in line


def test_a_fit_is_a_word_and_a_bar_in_both_languages():
    shown = words.fit_html(Strength(0.37, "fair"), english)
    assert "may fit" in shown
    assert "width: 37%" in shown
    assert "strength 0.37" in shown
    assert "不太符合" in words.fit_html(Strength(0.02, "weak"), chinese)
