"""The answer above the results: written by the configured model or quoted from the documents, with sources that open."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from quarry.app.ui.search import answer_presenter as words
from quarry.app.ui.search import judging
from quarry.app.ui.search.asked import Asked
from quarry.app.ui.search.indexes import Sides
from quarry.app.ui.search.judging import Subject
from quarry.app.ui.search.original import Place, open_original
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import inert, plain, told
from quarry.indexer.errors import SearchError, SettingsError
from quarry.retriever.searcher import SearchOptions
from quarry.retriever.shown.highlight import highlight

if TYPE_CHECKING:
    from quarry.retriever.answers.answer import GroundedAnswer
    from quarry.retriever.answers.citations import Sentence
    from quarry.retriever.llm.endpoint import Endpoint

_MOST_FOLLOW_UPS = 8
STYLE = """<style>
.q-answer { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; line-height: 1.65; }
.q-answer div { margin-bottom: .45rem; }
.q-cite { color: light-dark(#a04406, #eda352); font-weight: 600; font-size: .86em; margin-left: .15em; }
.q-unsure { text-decoration: underline wavy rgba(220, 38, 38, .75); text-underline-offset: .2em; }
.q-doubt { color: light-dark(#dc2626, #f87171); font-size: .82em; }
</style>"""


def answer_panel(whole: Subject, sides: Sides, asked: Asked) -> None:
    """Draw an answer with its sources, or that the documents have none, with the nearest passages; then follow-up questions.

    A question that the documents do not answer can be passed on: it then stands among the open questions.

    Args:
        whole: The search for the question.
        sides: The indexes that are asked.
        asked: What is asked.
    """
    session = whole.session
    say = session.say
    with st.container(border=True):
        st.html(STYLE)
        st.subheader(say("Answer", "回答"), anchor=False)
        turns: list[GroundedAnswer] = []
        for number, question in enumerate((asked.query, *_follow_ups(sides, asked))):
            answer = _answered(session, sides, asked, question, turns)
            if answer is None:
                return
            turns.append(answer)
            with st.container(key=f"turn-{number}"):
                if number:
                    st.html(f"<b>{inert(question)}</b>")
                _draw(session, sides, answer, number)
                if answer.refused and not number:
                    judging.pass_on(whole)
        _next_question(session, sides, asked, number=len(turns))


def _draw(session: Session, sides: Sides, answer: "GroundedAnswer", turn: int) -> None:
    if text := words.heading_text(answer, session.language):
        st.caption(plain(text))
    if answer.sentences:
        listed = answer.origin == "extractive"
        st.html(words.sentences_html(answer.sentences, session.language, listed=listed))
    if answer.notes:
        st.html(words.notes_html(answer.notes, session.say))
    _sources(session, sides, answer, turn)


def _follow_ups(sides: Sides, asked: Asked) -> tuple[str, ...]:
    """Return what was asked after this question, oldest first; another question begins anew."""
    kept = st.session_state.get("follow_ups")
    return kept[1] if kept and kept[0] == (asked.query, sides.generation) else ()


def _next_question(session: Session, sides: Sides, asked: Asked, number: int) -> None:
    """Draw the field for a question that may lean on what was said and cited before."""
    before = _follow_ups(sides, asked)
    if len(before) >= _MOST_FOLLOW_UPS:
        st.caption(
            session.say(
                f"After {_MOST_FOLLOW_UPS} follow-up questions, please ask a new question above.",
                f"已追问 {_MOST_FOLLOW_UPS} 次，请在上方提出新的问题。",
            )
        )
        return
    with st.form(f"follow-up-{number}", border=False), st.container(horizontal=True, gap="small"):
        hint = words.follow_up_hint(session.say)
        typed = st.text_input(hint, key=f"follow-up-text-{number}", placeholder=hint, label_visibility="collapsed")
        sent = st.form_submit_button(session.say("Ask", "提问"))
    if sent and typed.strip():
        st.session_state.follow_ups = ((asked.query, sides.generation), (*before, typed.strip()))
        st.rerun()


def _answered(
    session: Session, sides: Sides, asked: Asked, question: str, before: "Sequence[GroundedAnswer]"
) -> "GroundedAnswer | None":
    """Ask, or reuse the answer to the same question after the same ones."""
    from quarry.retriever.answers.across import ask_several
    from quarry.retriever.answers.answer import AskOptions, ask

    kept: dict[tuple[str, ...], GroundedAnswer] = _kept(asked, sides)
    key = (*(one.question for one in before), question)
    if key in kept:
        return kept[key]
    place = st.empty()
    written: list[Sentence] = []

    def listen(sentence: "Sentence") -> None:
        written.append(sentence)
        place.html(words.sentences_html(written, session.language, listed=False))

    options = SearchOptions(route=asked.route, rerank=asked.rerank, filters=dict(asked.filters) or None)
    try:
        with st.spinner(session.say("Reading the passages …", "正在阅读段落……"), show_time=True):
            endpoint = _endpoint()
            _say_where(session, endpoint)
            turns = tuple(one.as_turn() for one in before)
            settings = AskOptions(endpoint=endpoint, options=options, rewrite=asked.rewrite, before=turns)
            several = sides.several()
            answer = (
                ask(sides.first.searcher, question, settings, listen)
                if several is None
                else ask_several(several, question, settings, listen)
            )
    except (SearchError, ValueError) as err:
        reason = plain(told(err, session.say))
        st.error(session.say(f"There is no answer: {reason}", f"无法回答：{reason}"))
        return None
    finally:
        place.empty()
    kept[key] = answer
    return answer


def _kept(asked: Asked, sides: Sides) -> "dict[tuple[str, ...], GroundedAnswer]":
    """Return the answers to this question and those after it."""
    key = (replace(asked, newest=False), sides.generation)
    before = st.session_state.get("grounded")
    if before is None or before[0] != key:
        st.session_state.grounded = (key, {})
    found: dict[tuple[str, ...], GroundedAnswer] = st.session_state.grounded[1]
    return found


def _endpoint() -> "Endpoint | None":
    """Return the model that the app was started with; None to quote the documents.

    Raises:
        SettingsError: If its address is not usable, or no model is named.
    """
    from quarry.retriever.answers.generate import MODEL_VARIABLE, URL_VARIABLE, endpoint_for

    url, model = os.environ.get(URL_VARIABLE, ""), os.environ.get(MODEL_VARIABLE, "")
    if not url:
        return None
    if not model:
        raise SettingsError(
            "ui.no_model_name",
            "{variable} is {url}, but no model is named",
            do="Set {wanted} to the model's name",
            variable=URL_VARIABLE,
            url=url,
            wanted=MODEL_VARIABLE,
        )
    return endpoint_for(url, model)


def _say_where(session: Session, endpoint: "Endpoint | None") -> None:
    if endpoint is None or endpoint.is_local:
        return
    where = plain(endpoint.url)
    st.caption(
        session.say(f"The question and the best passages are sent to {where}.", f"问题和最佳段落会发送到 {where}。")
    )


def _sources(session: Session, sides: Sides, answer: "GroundedAnswer", turn: int) -> None:
    """Draw one button per source; it opens the passage in its document."""
    say = session.say
    shown = answer.sources if answer.refused else answer.cited
    if not shown:
        return
    st.caption(
        say("Nearest passages (they do not seem to answer the question)", "最接近的段落（似乎没有回答这个问题）")
        if answer.refused
        else say("Sources", "出处")
    )
    with st.container(horizontal=not answer.refused, gap="small"):
        for source in shown:
            side = sides.by_name[source.index]
            analyzer = side.searcher.index.analyzer
            spans = highlight(source.text, analyzer.query_tokens(answer.question), analyzer)
            key = f"source-{turn}-{source.number}" if turn else f"source-{source.number}"
            opened = st.button(words.source_label(source, say), key=key, icon=":material/article:", type="tertiary")
            if answer.refused:
                st.html(words.excerpt_html(source, spans))
            if opened:
                about = f"<div class='q-place'><span class='q-source'>{inert(source.path)}</span></div>"
                place = Place(source.doc_id, source.title, about, (source.start, source.end), tuple(spans), source.page)
                open_original(side.session, side.searcher, place)
