"""Draws one result: its text, the judging controls, its document, and why it has its rank."""

from typing import TYPE_CHECKING

import streamlit as st

from quarry.app.ui.search import judging
from quarry.app.ui.search import presenter as words
from quarry.app.ui.search.judging import Subject
from quarry.app.ui.search.original import Place, open_original
from quarry.app.ui.search.why_panel import explanation
from quarry.app.ui.shared.shown_text import SHORTENED
from quarry.retriever.ranking import StageReport

if TYPE_CHECKING:
    from quarry.retriever.answers.refusals.fit import Strength
    from quarry.retriever.results import Result
    from quarry.retriever.searcher import Searcher

STYLE = (
    f"<style>{SHORTENED}</style>"
    + """<style>
.st-key-options { column-gap: .6rem; }
.st-key-options [data-testid="stButtonGroup"] button { padding-inline: .45rem; }
.q-hit, .q-context { overflow-wrap: anywhere; unicode-bidi: isolate; }
[class*="st-key-hit-"] { padding: .5rem .8rem .35rem; gap: .15rem; }
.q-title { font-size: 1.06rem; margin-bottom: .1rem; }
.q-title b, .q-cite { cursor: pointer; }
.q-title b:hover, .q-cite:hover { text-decoration: underline; }
.q-rank { display: inline-block; min-width: 1.5rem; padding: 0 .35rem; margin-right: .5rem; border-radius: .4rem;
  text-align: center; font-size: .85rem; background: rgba(180, 83, 9, .14); color: light-dark(#a04406, #eda352); font-weight: 600; }
.q-path, .q-place, .q-times, .q-why { opacity: .72; font-size: .86rem; }
.q-place, .q-times { overflow-wrap: anywhere; }
.q-source { font-family: monospace; }
.q-info { cursor: help; }
.q-fit { float: right; margin-left: .75rem; font-size: .84rem; cursor: help; white-space: nowrap; }
.q-bar { display: inline-block; width: 3.5rem; height: .45rem; margin-left: .3rem; border-radius: .25rem; overflow: hidden;
  background: rgba(128, 128, 128, .3); vertical-align: middle; }
.q-bar span { display: block; height: 100%; background: light-dark(#a04406, #eda352); }
.q-weak { opacity: .78; }
.q-text { line-height: 1.5; }
.q-hit mark, .q-context mark, .q-place mark { background: rgba(245, 158, 11, .32); color: inherit; padding: 0 .1em;
  border-radius: .2em; }
.q-context { white-space: pre-wrap; line-height: 1.65; max-height: 60vh; overflow-y: auto; }
.q-passage { background: rgba(180, 83, 9, .09); border-left: 3px solid light-dark(#a04406, #eda352); padding: .1em .3em; }
.q-degraded { border: 1px solid rgba(245, 158, 11, .6); background: rgba(245, 158, 11, .12); border-radius: .5rem;
  padding: .2rem 1rem; }
.q-degraded p { margin: .6rem 0; }
@media (max-width: 640px) {
  .st-key-head { flex-wrap: nowrap; }
  .st-key-head button p { font-size: 0; }
}
</style>"""
)


@st.fragment
def hit(subject: Subject, result: "Result", strength: "Strength", searcher: "Searcher", *, dated: bool = False) -> None:
    """Draw one result, as a fragment: judging it redraws nothing else."""
    say = subject.session.say
    with st.container(border=True, key=f"hit-{subject.key}"):
        place = words.place_html(result, say, dated=dated) + words.copies_html(result, say)
        st.html(words.fit_html(strength, say) + words.result_html(result) + place)
        judging.show_earlier(subject)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.feedback("thumbs", key=judging.thumb_key(subject), on_change=judging.thumb, args=(subject,))
            chosen = judging.is_answer(subject)
            st.button(
                say("This is the answer", "这就是答案"),
                key=f"mark-{subject.key}",
                type="primary" if chosen else "tertiary",
                icon=":material/check_circle:" if chosen else ":material/task_alt:",
                on_click=judging.mark_answer,
                args=(subject,),
            )
            with st.popover(say("Note", "备注"), icon=":material/edit_note:", type="tertiary"):
                note_field(subject, say("What is right or wrong with this passage?", "这段内容哪里对，哪里不对？"))
            context = st.button(
                say("Open the original", "打开原文"),
                key=f"open-{subject.key}",
                type="tertiary",
                icon=":material/article:",
                on_click=judging.opened,
                args=(subject,),
            )
            why = st.button(
                say("Why this result?", "为什么是它？"),
                key=f"why-{subject.key}",
                type="tertiary",
                icon=":material/insights:",
                on_click=_flip,
                args=(subject,),
            )
        judging.confirmation(subject)
        if st.session_state.get(f"explained-{subject.key}"):
            explanation(subject.session, subject.answer, result, searcher, subject.key)
    if context and not why:
        open_original(subject.session, searcher, _place(subject, result))


def note_field(subject: Subject, question: str) -> None:
    """Draw a field for free text and the button that stores it."""
    say = subject.session.say
    st.text_area(question, key=judging.note_key(subject), max_chars=2_000)
    st.button(say("Save the note", "保存备注"), key=f"keep-{subject.key}", on_click=judging.note, args=(subject,))


def _flip(subject: Subject) -> None:
    key = f"explained-{subject.key}"
    st.session_state[key] = not st.session_state.get(key)


def _place(subject: Subject, result: "Result") -> Place:
    about, span = words.place_html(result, subject.session.say), (result.start, result.end)
    return Place(result.doc_id, result.title, about, span, result.highlights, result.page)


def degraded(reports: tuple[StageReport, ...], subject: Subject) -> None:
    """Draw the banner of a degraded answer; nothing for a complete one."""
    if text := words.degraded_html(reports, subject.session.say):
        st.html(f"<div class='q-degraded' role='status'>{text}</div>")
