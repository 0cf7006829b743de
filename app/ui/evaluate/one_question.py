"""Draws one question under two search methods, side by side; a method may be that of an earlier generation (before tuning)."""

from typing import TYPE_CHECKING

import streamlit as st

from quarry.app.ui.evaluate.presenter import offered_routes
from quarry.app.ui.evaluate.two_rankings import STYLE, Side, placed, placed_html, summary_words
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.rerankers import rerankers
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import plain, sentence, told
from quarry.indexer.errors import IndexFormatError, SearchError
from quarry.indexer.opened import Index
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.evaluation.routes import route_options
from quarry.retriever.searcher import Searcher

if TYPE_CHECKING:
    from quarry.retriever.results import Answer

ASKED = "evaluate.one"  # the state key of the question
_RESULTS = 10
_DEPTH = 50  # candidates that are reranked
_KEPT_S = 600  # for which an earlier generation stays open


def one_question(session: Session) -> None:
    """Draw the question, the two methods, and the two lists."""
    say = session.say
    try:
        sides = offered_sides(session)
    except SearchError as err:
        show_fault(say("The index cannot be opened.", "无法打开索引。"), err, say)
        return
    if len(sides) < 2:
        st.info(
            say(
                "This index can be searched in one way only: by words. There is nothing to compare.",
                "该索引只能按关键词检索，没有可比较的方式。",
            )
        )
        return
    question = st.text_input(
        say("Your question, or keywords", "您的问题，或关键词"),
        key=ASKED,
        placeholder=say("Ask in English or Chinese", "可以用中文或英文提问"),
    ).strip()
    columns = st.columns(2)
    chosen = [
        column.selectbox(
            label,
            sides,
            index=number,
            format_func=lambda side: side.name(say),
            key=f"evaluate.one.{number}.{session.language}",
        )
        for number, (column, label) in enumerate(zip(columns, (say("Left", "左列"), say("Right", "右列")), strict=True))
    ]
    if not question:
        st.caption(
            say(
                "Type a question: both lists appear here, and each passage says where it stands in the other one.",
                "输入问题后，两列结果会并排显示，并标出每个段落在另一列中的名次。",
            )
        )
        return
    try:
        with st.spinner(say("Searching …", "正在搜索……"), show_time=True):
            left, right = (_searched(session, side or sides[0], question) for side in chosen)
    except (SearchError, ValueError) as err:
        show_fault(say("The search failed.", "搜索失败。"), err, say)
        return
    _two_lists(session, left, right)


def offered_sides(session: Session) -> list[Side]:
    """Return the methods of the live generation, then those of the newest other one that is kept.

    Raises:
        IndexFormatError: If the index cannot be read.
    """
    generations = Generations(session.index)
    live = generations.live()
    sides = [Side(method) for method in _methods(session, Manifest.read(live))]
    for name in sorted({*generations.finished()} - {live.name}, reverse=True)[:1]:
        try:
            facts = Manifest.read(generations.folder / name)
        except IndexFormatError:
            continue  # a damaged one cannot be searched; the Index page says so
        sides += [Side(method, name) for method in _methods(session, facts)]
    return sides


def _methods(session: Session, manifest: Manifest) -> tuple[str, ...]:
    second = rerankers(session, manifest)
    return offered_routes(dense=manifest.store is not None, rerank=second.model, late=second.late)


def _searched(session: Session, side: Side, question: str) -> "Answer":
    searcher = session.searcher()
    if side.generation:
        searcher = _of_generation(str(session.index), side.generation, searcher)
    return searcher.search(question, _RESULTS, route_options(side.method, _DEPTH))


@st.cache_resource(max_entries=2, ttl=_KEPT_S, show_spinner=False)
def _of_generation(index: str, generation: str, _live: Searcher) -> Searcher:
    """Open another generation with the models that are loaded, where it was built with the same ones."""
    other = Index.open(index, generation=generation)
    return Searcher(other, _live.lazy_embedder.for_generation(other), _live.lazy_reranker.for_generation(other))


def _two_lists(session: Session, left: "Answer", right: "Answer") -> None:
    say = session.say
    lists = placed(left.results, right.results), placed(right.results, left.results)
    st.html(STYLE)
    st.text(summary_words(*lists, say))
    for column, answer, ones in zip(st.columns(2), (left, right), lists, strict=True):
        with column:
            for report in answer.stages:
                if report.degrades and report.reason:
                    st.warning(plain(sentence(told(report.reason, say))))
            if ones:
                st.html("".join(placed_html(one, say) for one in ones))
            else:
                st.info(say("No passage matches.", "没有找到匹配的段落。"))
