"""The Search page: ask, read, judge."""

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from quarry.app.ui.evaluate.one_question import ASKED
from quarry.app.ui.search import hit as hit_view
from quarry.app.ui.search import presenter as words
from quarry.app.ui.search.answer_panel import answer_panel
from quarry.app.ui.search.asked import Asked
from quarry.app.ui.search.export import to_csv, to_json
from quarry.app.ui.search.filters import clear_button
from quarry.app.ui.search.form import ask
from quarry.app.ui.search.indexes import Sides, opened
from quarry.app.ui.search.judging import Subject, confirmation
from quarry.app.ui.search.upload_panel import upload_panel
from quarry.app.ui.search.why_not_panel import why_not_one_index, why_not_panel
from quarry.app.ui.shared.session import Session, current
from quarry.app.ui.shared.shown_text import counted, inert, plain, safe, sentence, told
from quarry.indexer.errors import SearchError
from quarry.retriever.answers.refusals.fit import search_with_fit
from quarry.retriever.asking import MAX_QUERY_CHARS
from quarry.retriever.searcher import SearchOptions

if TYPE_CHECKING:
    from quarry.retriever.answers.refusals.fit import Fit
    from quarry.retriever.results import Answer
    from quarry.retriever.searcher import Searcher


def page() -> None:
    """Draw the page."""
    session = current()
    st.html(hit_view.STYLE)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="head"):
        st.header(session.say("Search your documents", "搜索您的文档"), anchor=False)
        # filled last: a running upload is waited for, and must not keep the results from being drawn
        adding = st.container(width="content")
    searcher = _opened(session)
    if searcher is None:
        return
    if searcher.index.manifest.chunks == 0:
        _empty_index(session)
    else:
        asked = ask(session, searcher)
        if asked.query.strip():
            _answer(session, asked)
        else:
            _welcome(session, searcher)
    with adding:
        upload_panel(session)


def _opened(session: Session) -> "Searcher | None":
    try:
        with st.spinner(
            session.say(
                "Opening the index and loading its model. This takes a few seconds on the first visit only.",
                "正在打开索引并加载模型；只有第一次需要几秒钟。",
            )
        ):
            return session.searcher()
    except SearchError as err:
        reason = plain(told(err, session.say))
        st.error(session.say(f"The index cannot be opened. {reason}", f"无法打开索引。{reason}"))
        st.button(session.say("Try again", "重试"))
        return None


def _empty_index(session: Session) -> None:
    st.info(
        session.say(
            "This index has no documents yet. Add some with “Add documents”, or run:",
            "这个索引里还没有文档。可以用“添加文档”添加，或运行：",
        )
    )
    st.code(f"quarry index FOLDER --into {safe(str(session.index))}", language=None, wrap_lines=True)


def _welcome(session: Session, searcher: "Searcher") -> None:
    facts = searcher.index.manifest
    model = (
        inert(facts.embedder.to_spec().model)
        if facts.embedder
        else session.say("no model, words only", "无模型，仅关键词")
    )
    documents = session.say(
        f"{counted(facts.documents, 'document', 'documents')} in {counted(facts.chunks, 'passage', 'passages')}",
        f"{facts.documents:,} 个文档，{facts.chunks:,} 个段落",
    )
    generation = session.say(f"generation {facts.generation}", f"索引版本 {facts.generation}")
    st.html(f"<div class='q-times'>{documents} · {model} · {generation}</div>")


def _answer(session: Session, asked: Asked) -> None:
    sides = _sides(session, asked)
    found = _searched(session, sides, asked) if sides else None
    if sides is None or found is None:
        return
    answer, one = found[0], len(sides.by_name) == 1
    name, side = next(iter(sides.by_name.items()))
    session, searcher = side.session, side.searcher
    whole = Subject(session, sides.of(answer, name))
    hit_view.degraded(answer.stages, whole)
    _notices(session, searcher, asked, answer)
    if asked.answer:
        answer_panel(whole, sides, asked)
    if not answer.results:
        _no_result(session, asked)
    else:
        _results(session, sides, asked, found)
        _below(whole, answer, asked)
    if one:
        why_not_panel(session, searcher, asked, _options(asked))
    else:
        why_not_one_index(session)


def _notices(session: Session, searcher: "Searcher", asked: Asked, answer: "Answer") -> None:
    if searcher.behind is not None:
        st.warning(plain(sentence(told(searcher.behind, session.say))))
    if len(asked.query) > MAX_QUERY_CHARS:
        st.info(
            session.say(
                f"The question is very long; its first {MAX_QUERY_CHARS:,} characters were used.",
                f"问题太长，只使用了前 {MAX_QUERY_CHARS:,} 个字符。",
            )
        )
    for notice in answer.notices:
        if notice is not searcher.behind and notice.code != "search.query_cut":  # which are shown above
            st.info(plain(sentence(told(notice, session.say))))


def _results(session: Session, sides: Sides, asked: Asked, found: "tuple[Answer, Fit]") -> None:
    answer, fit = found
    told_already = asked.answer or any(notice.code == "search.no_known_word" for notice in answer.notices)
    if (doubt := fit.message()) and not told_already:
        st.info(plain(sentence(told(doubt, session.say))))
    st.html(words.times_html(answer, session.say, rerank=asked.rerank))
    hits = list(zip(answer.results, fit.hits, strict=True))
    if asked.newest:
        hits.sort(key=lambda hit: words.day_of(hit[0]), reverse=True)
    for result, strength in hits:
        side = sides.by_name[result.index]
        subject = Subject(side.session, sides.of(answer, result.index), result)
        hit_view.hit(subject, result, strength, side.searcher, dated=asked.newest)


def _sides(session: Session, asked: Asked) -> Sides | None:
    """Open the indexes that are asked, or say why not."""
    try:
        return opened(session, asked.indexes)
    except SearchError as err:
        reason = plain(told(err, session.say))
        st.error(session.say(f"The index cannot be opened. {reason}", f"无法打开索引。{reason}"))
        return None


def _options(asked: Asked) -> SearchOptions:
    return SearchOptions(
        route=asked.route, rerank=asked.rerank, collapse=not asked.copies, filters=dict(asked.filters) or None
    )


def _searched(session: Session, sides: Sides, asked: Asked) -> "tuple[Answer, Fit] | None":
    """Search, or reuse the last results for the same question."""
    key = (replace(asked, answer=False, rewrite=False, newest=False), sides.generation)
    kept = st.session_state.get("answer")
    if kept and kept[0] == key:
        return kept[1]  # type: ignore[no-any-return]
    try:
        with st.spinner(session.say("Searching …", "正在搜索……"), show_time=True):
            several = sides.several()
            if several is not None:
                found = several.search(asked.query, asked.k, _options(asked))
            else:
                found = search_with_fit(sides.first.searcher, asked.query, asked.k, _options(asked))
    except (SearchError, ValueError) as err:
        reason = plain(told(err, session.say))
        st.error(session.say(f"The search failed: {reason}", f"搜索失败：{reason}"))
        return None
    st.session_state.answer = (key, found)
    return found


def _no_result(session: Session, asked: Asked) -> None:
    advice = session.say("Try other words, or search by meaning.", "可以换个说法，或改用语义检索。")
    if asked.filters:
        advice = session.say("Try again without the filters.", "可以去掉筛选条件再试。")
    st.info(session.say(f"No passage matches. {advice}", f"没有找到匹配的段落。{advice}"))
    if asked.filters:
        clear_button(session, "clear-none")


def _below(whole: Subject, answer: "Answer", asked: Asked) -> None:
    say = whole.session.say
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover(say("Not what you need?", "没有想要的答案？"), icon=":material/edit_note:"):
            hit_view.note_field(whole, say("What were you looking for?", "您想找的是什么？"))
        st.download_button(
            "JSON",
            to_json(answer),
            "quarry-results.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "CSV", to_csv(answer), "quarry-results.csv", "text/csv", icon=":material/download:", on_click="ignore"
        )
        if st.button(say("Compare two methods", "比较两种检索方式"), icon=":material/compare_arrows:"):
            st.session_state[ASKED] = asked.query
            st.switch_page("../pages/evaluate.py")
    confirmation(whole)


page()
