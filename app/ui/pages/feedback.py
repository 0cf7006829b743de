"""The Feedback page: what was judged, by whom and when, how far people agree, files for other tools, and training."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import altair as alt
import streamlit as st

from quarry.app.ui.feedback import downloads
from quarry.app.ui.feedback import presenter as shown
from quarry.app.ui.feedback.gaps import gaps_panel, told_written
from quarry.app.ui.shared.choices import choice
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.session import Session, current, feedback_path
from quarry.app.ui.shared.shown_text import Row, told
from quarry.app.ui.training.panel import training_section
from quarry.indexer.errors import SearchError
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.stores.parts import texts_at
from quarry.training.feedback.events import StoredEvent
from quarry.training.feedback.judgements import judgements, summary

_PERIODS = {"all": None, "day": 1, "week": 7, "month": 30}


def page() -> None:
    """Draw the page."""
    session = current()
    st.title(session.say("Feedback and training", "反馈与训练"), anchor=False)
    _feedback(session)
    training_section(session)


def _feedback(session: Session) -> None:
    say = session.say
    path = feedback_path(session.index)
    try:
        events = _events(str(path), len(session.feedback()), session) if path.is_file() else ()
    except SearchError as err:
        show_fault(say("The feedback cannot be read.", "无法读取反馈。"), err, say)
        return
    if not events:
        st.info(
            say(
                "No feedback yet. On the search page, a thumb or “This is the answer” beside a result is stored here at "
                "once; it becomes training data and a test set of your own.",
                "还没有任何反馈。在搜索页中，结果旁的“赞/踩”或“这就是答案”会立即保存到这里，成为您自己的训练数据和测试集。",
            ),
            icon=":material/thumbs_up_down:",
        )
        return
    selected = _filter(session, events).of(events)
    if not selected:
        st.info(say("No feedback in this selection.", "所选范围内没有反馈。"), icon=":material/filter_alt:")
        return
    counts = summary(selected)
    figures = shown.headline(counts, say)
    for column, (label, value) in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(label, value, border=True)
    st.text(shown.agreement_words(counts, say))
    told_written(session)
    titles, texts = _passages(session, selected)
    _lists(session, selected, titles)
    _export(session, selected, texts)


@st.cache_resource(max_entries=4, show_spinner=False)
def _events(path: str, count: int, _session: Session) -> tuple[StoredEvent, ...]:  # noqa: ARG001 (the key: the log only grows)
    return tuple(_session.feedback().events())


def _filter(session: Session, events: Sequence[StoredEvent]) -> shown.FeedbackFilter:
    say = session.say
    languages = sorted({stored.event.language for stored in events})
    periods = {
        "all": say("all time", "全部时间"),
        "day": say("24 hours", "24 小时"),
        "week": say("7 days", "7 天"),
        "month": say("30 days", "30 天"),
    }
    left, right = st.columns(2)
    language = left.selectbox(
        say("Language of the question", "问题的语言"),
        ["", *languages],
        **choice(session, "feedback.language", ["", *languages], ""),
        format_func=lambda one: shown.language_name(one, say) if one else say("all", "全部"),
    )
    period = right.selectbox(
        say("Period", "时间范围"),
        list(periods),
        **choice(session, "feedback.period", periods, "all"),
        format_func=periods.__getitem__,
    )
    days = _PERIODS[period or "all"]
    return shown.FeedbackFilter(language or "", datetime.now(UTC) - timedelta(days=days) if days else None)


def _lists(session: Session, events: tuple[StoredEvent, ...], titles: Mapping[str, str]) -> None:
    say, counts = session.say, summary(events)
    notes = shown.note_rows(events, say, session.clock)
    tabs = st.tabs(
        [
            say(f"Open questions: {len(counts.unanswered)}", f"待解答的问题：{len(counts.unanswered)}"),
            say("Log", "日志"),
            say("Judgements", "标注"),
            say(f"Disputed: {len(counts.disputed)}", f"有争议：{len(counts.disputed)}"),
            say(f"Notes: {len(notes)}", f"留言：{len(notes)}"),
            say("Visitors", "访客"),
        ]
    )
    tables: tuple[Sequence[Row], ...] = (
        shown.event_rows(events, titles, say, session.clock),
        shown.judgement_rows(judgements(events), titles, say, session.clock),
        shown.disputed_rows(counts, events, titles, say),
        notes,
        shown.visitor_rows(events, say, session.clock),
    )
    question, note = say("Question", "问题"), say("Note", "留言")
    widths = {question: st.column_config.TextColumn(width=280), note: st.column_config.TextColumn(width=160)}
    gaps, log, *_ = tabs
    with gaps:
        gaps_panel(session, events)
    for tab, rows in zip(tabs[1:], tables, strict=True):
        with tab:
            if tab is log:
                _days(session, events)
            if rows:
                st.dataframe(rows, hide_index=True, column_config=widths)
            else:
                st.caption(say("None.", "没有。"))
            if len(rows) == shown.MOST_SHOWN:
                st.caption(say(f"The newest {len(rows)} are shown.", f"仅显示最新的 {len(rows)} 条。"))


def _days(session: Session, events: Sequence[StoredEvent]) -> None:
    say = session.say
    rows = shown.day_rows(events, say, session.clock)
    if len({row["day"] for row in rows}) < 2:  # a single bar says nothing
        return
    actions, colors = shown.action_colors(say)
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("day:O", title=say("day", "日期"), axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("count:Q", title=say("events", "事件"), axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                "action:N", title=None, legend=alt.Legend(orient="top"), scale=alt.Scale(domain=actions, range=colors)
            ),
        )
        .properties(height=260)
    )
    st.altair_chart(chart)


def _export(session: Session, events: tuple[StoredEvent, ...], texts: Mapping[str, str]) -> None:
    say = session.say
    st.subheader(say("Export", "导出"), anchor=False)
    st.caption(say("Exports the selection above.", "导出以上所选范围的内容。"))
    rows, for_training = downloads.training_file(events, texts.get)
    packed, for_testing = downloads.beir_zip(events)
    left, right = st.columns(2, border=True)
    with left:
        st.text(say("Training rows (FlagEmbedding JSONL)", "训练数据（FlagEmbedding JSONL）"))
        for sentence in downloads.training_words(for_training, say):
            st.caption(sentence)
        st.download_button(
            say("Download training rows", "下载训练数据"),
            rows,
            "feedback.jsonl",
            "application/jsonl",
            key="feedback.rows",
            disabled=not for_training.rows,
            icon=":material/download:",
            on_click="ignore",
        )
    with right:
        st.text(say("Test set (BEIR queries and qrels, zip)", "测试集（BEIR 问题与 qrels，zip）"))
        for sentence in downloads.beir_words(for_testing, say):
            st.caption(sentence)
        st.download_button(
            say("Download judgements", "下载标注"),
            packed,
            "feedback-beir.zip",
            "application/zip",
            key="feedback.beir",
            disabled=not for_testing.rows,
            icon=":material/download:",
            on_click="ignore",
        )


def _passages(session: Session, events: Sequence[StoredEvent]) -> tuple[dict[str, str], dict[str, str]]:
    """Titles by document and texts by passage of what was judged, where the live generation has them."""
    documents = {stored.event.doc_id for stored in events if stored.event.doc_id}
    passages = {stored.event.chunk_id for stored in events if stored.event.chunk_id and stored.event.grade is not None}
    try:
        with closing(texts_at(Generations(session.index).live())) as table:
            titles = table.titles(sorted(documents))
            return titles, {chunk_id: text for chunk_id in sorted(passages) if (text := _text(table, chunk_id))}
    except SearchError as err:
        st.warning(
            session.say(
                "The index cannot be read, so titles and training rows are missing.",
                "无法读取索引，因此没有标题，也不能导出训练数据。",
            ),
            icon=":material/warning:",
        )
        st.code(told(err, session.say), language=None, wrap_lines=True)
        return {}, {}


def _text(table: ChunkTable, chunk_id: str) -> str | None:
    try:
        return table.texts([chunk_id])[0]
    except KeyError:  # changed or removed since it was judged
        return None


page()
