"""Draws the open questions of the Feedback page: groups that mean the same, what is near, and a place to write the answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import Say, counted, inert, label, plain, safe
from quarry.indexer.errors import SearchError
from quarry.training.feedback.judgements import query_id

if TYPE_CHECKING:
    from quarry.training.feedback.events import StoredEvent
    from quarry.training.gaps.answered import Answered
    from quarry.training.gaps.questions import Gap

_MOST = 20  # groups that are drawn
_MAX_CHARS = 20_000


def told_written(session: Session) -> None:
    """Say that the answer which was just written is in the index; nothing otherwise."""
    if written := st.session_state.pop("gaps.written", None):
        st.success(
            session.say(
                f"The answer is in the index and found from now on: {written}",
                f"答案已加入索引，现在就能搜到：{written}",
            ),
            icon=":material/check:",
        )


def gaps_panel(session: Session, events: "Sequence[StoredEvent]") -> None:
    """Draw the groups, those with most events first; the first one stands open."""
    say = session.say
    try:
        with st.spinner(say("Grouping the questions …", "正在归并问题……")):
            key = str(session.index), session.searcher().index.generation, len(events)
            found, answered = _found(*key, session, tuple(events))
    except SearchError as err:
        show_fault(say("The questions cannot be grouped.", "无法归并问题。"), err, say)
        return
    if not found:
        st.caption(
            say(
                "None. A question with a thumb down or a note, and no good result, stands here; write its answer, and it is found.",
                "没有。被点踩或附有留言、且没有满意结果的问题会列在这里；写下答案后即可搜到。",
            )
        )
        _answered(session, answered)
        return
    st.caption(
        say(
            "An answer that you write becomes a document of the index, a training pair and a test question.",
            "您写下的答案会成为索引中的文档、一条训练数据和一道测试题。",
        )
    )
    for number, gap in enumerate(found[:_MOST]):
        _gap(session, gap, opened=not number)
    if len(found) > _MOST:
        st.caption(say(f"{len(found) - _MOST} more are not shown.", f"另有 {len(found) - _MOST} 组未显示。"))
    _answered(session, answered)


@st.cache_resource(max_entries=4, show_spinner=False)
def _found(
    index: str,  # noqa: ARG001 (the key)
    generation: str,  # noqa: ARG001 (the key)
    count: int,  # noqa: ARG001 (the key: the log only grows)
    _session: Session,
    _events: "Sequence[StoredEvent]",
) -> "tuple[tuple[Gap, ...], tuple[Answered, ...]]":
    from quarry.training.gaps.answered import answered_gaps
    from quarry.training.gaps.questions import find_gaps

    return find_gaps(_events, _session.searcher()), answered_gaps(_events, _session.searcher())


def _answered(session: Session, found: "Sequence[Answered]") -> None:
    """Draw what was answered, and whether it is found."""
    if not found:
        return
    say = session.say
    with st.expander(say(f"Answered ({len(found)})", f"已答复（{len(found)}）"), icon=":material/task_alt:"):
        st.dataframe(answered_rows(found[:_MOST], say), hide_index=True, width="stretch")


def answered_rows(found: "Sequence[Answered]", say: Say) -> list[dict[str, str | int]]:
    """Return a row for each answered question."""
    return [
        {
            say("Question", "问题"): safe(question),
            say("Answered on", "答复日期"): one.at,
            say("Found as", "搜索结果"): say(f"result {rank}", f"第 {rank} 条")
            if rank
            else say("not among the first ten", "不在前十条"),
            say("Judged right since", "此后被评为正确"): one.good,
            say("Judged wrong since", "此后被评为错误"): one.bad,
            say("Document", "文档"): safe(one.doc_id),
        }
        for one in found
        for question, rank in zip(one.questions, one.ranks, strict=True)
    ]


def _gap(session: Session, gap: "Gap", *, opened: bool) -> None:
    say, name = session.say, query_id(gap.questions[0])
    said = say(
        f"{counted(gap.events, 'event', 'events')} of {counted(gap.visitors, 'visitor', 'visitors')}",
        f"{gap.visitors} 位访客，{gap.events} 次反馈",
    )
    with st.expander(f"{label(gap.questions[0])} · {said}", expanded=opened):
        if len(gap.questions) > 1:
            st.html("<br>".join(inert(question) for question in gap.questions[1:]))
        for note in gap.notes:
            st.html(f"<i>{inert(note)}</i>")
        if gap.answers:
            before = " · ".join(inert(doc_id) for doc_id in gap.answers)
            st.html(f"{say('Questions like these were answered before: ', '类似的问题此前已答复：')}{before}")
        if gap.nearest:
            near = " · ".join(inert(one.title) for one in gap.nearest)
            st.html(f"{say('Nearest documents: ', '最接近的文档：')}{near}")
        with st.form(f"gap-form-{name}", border=False):  # a button outside would not know what is being typed
            text = st.text_area(
                say("The answer", "答案"),
                key=f"gap-{name}",
                max_chars=_MAX_CHARS,
                placeholder=say("What somebody who asks this should read", "提出这个问题的人应当读到的内容"),
            )
            sent = st.form_submit_button(say("Add the answer", "添加答案"), icon=":material/add:")
        if sent and text.strip():
            _save(session, gap, text)
        elif sent:
            st.warning(say("The answer is empty.", "答案是空的。"), icon=":material/edit:")


def _save(session: Session, gap: "Gap", text: str) -> None:
    from quarry.training.gaps.writing import write_answer

    say = session.say
    try:
        with st.spinner(say("Adding the answer to the index …", "正在把答案加入索引……"), show_time=True):
            write_answer(session.index, gap.questions, text, session.embedder())
    except (SearchError, OSError) as err:
        show_fault(say("The answer was not added.", "答案未能添加。"), err, say)
        return
    st.session_state["gaps.written"] = plain(gap.questions[0])
    st.rerun()
