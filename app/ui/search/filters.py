"""The filters: menus of metadata, time and folders, free conditions, and the control that clears them all."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

import streamlit as st

from quarry.app.ui.search import presenter as words
from quarry.app.ui.search.filter_presenter import (
    DATES,
    MODIFIED,
    PERIODS,
    SOURCE,
    Offer,
    bounds_of,
    days_of,
    period_counts,
    period_name,
    since,
)
from quarry.app.ui.shared.choices import choice
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import label, safe
from quarry.indexer.errors import BadFilter
from quarry.indexer.storage.texts.conditions import expression_of, parse_expression

Filters = tuple[tuple[str, tuple[str, ...]], ...]
"""Metadata keys with what is asked of each."""


def fill(filters: Filters, offer: Offer) -> None:
    """Set the fields to what an address asks for."""
    state, wanted = st.session_state, dict(filters)
    days = days_of(wanted.get(MODIFIED, ())) if offer.modified else None
    state.f_time = DATES if days else None
    state.f_first, state.f_last = days or (None, None)
    sources = wanted.get(SOURCE, ())
    state.f_folder = [source for source in sources if source in offer.folders]
    state.f_source = next((source for source in sources if source not in offer.folders), "")
    state.f_more = "; ".join(
        expression_of(key, value)
        for key, values in filters
        for value in values
        if key != SOURCE and value not in offer.menus.get(key, ()) and not (key == MODIFIED and days)
    )
    for key, values in offer.menus.items():
        state[f"f-{key}"] = [value for value in wanted.get(key, ()) if value in values]


def chosen(offer: Offer) -> Filters:
    """Return what the fields ask for."""
    state = st.session_state
    filters = {key: tuple(state.get(f"f-{key}") or ()) for key in offer.menus}
    source = (state.get("f_source") or "").strip()
    filters[SOURCE] = (*(state.get("f_folder") or ()), *((source,) if source else ()))
    filters[MODIFIED] = _period()
    for key, value in _more(state.get("f_more") or ""):
        filters[key] = (*filters.get(key, ()), value)
    return tuple((key, values) for key, values in filters.items() if values)


def _period() -> tuple[str, ...]:
    state = st.session_state
    period = state.get("f_time")
    if period in PERIODS:
        return bounds_of(since(period, _today()), None)
    return bounds_of(state.get("f_first"), state.get("f_last")) if period == DATES else ()


def _today() -> date:
    return datetime.now(UTC).date()  # as the days of files are written


def filter_menus(session: Session, offer: Offer) -> None:
    """Draw the button that opens the filters, and beside it, while some are set, the one that clears them."""
    say, active = session.say, len(chosen(offer))
    with st.popover(say("Filters", "筛选") + (f" ({active})" if active else ""), icon=":material/filter_list:"):
        _menus(session, offer)
    if active:
        clear_button(session, "clear")


def clear_button(session: Session, key: str) -> None:
    """Draw the control that clears all filters."""
    st.button(
        session.say("Clear filters", "清除筛选"),
        key=key,
        icon=":material/filter_list_off:",
        type="tertiary",
        on_click=_clear,
    )


def _clear() -> None:
    state = st.session_state
    for key in list(state):
        if str(key).startswith("f-"):
            state[key] = []
    state.f_folder, state.f_source, state.f_more = [], "", ""
    state.f_time = state.f_first = state.f_last = None


def _menus(session: Session, offer: Offer) -> None:
    say = session.say
    for key, counted in offer.menus.items():
        _menu(session, label(words.filter_name(key, say)), f"f-{key}", counted)
    if offer.modified:
        _time(session, offer.modified)
    if offer.folders:
        _menu(session, say("Folder", "文件夹"), "f_folder", offer.folders)
    st.text_input(
        say("Source (* matches anything)", "来源（* 匹配任意字符）"), key="f_source", placeholder="documents/zh/*"
    )
    st.text_input(
        say("Other conditions, with ; between them", "其他条件，用 ; 分隔"),
        key="f_more",
        placeholder="date>=2024-04-01; tags=budget",
    )
    st.toggle(
        say("Show copies", "显示重复内容"),
        key="with_copies",
        help=say(
            "Passages that say the same are otherwise shown once, with the names of the others.",
            "内容相同的段落平时只显示一次，并列出其余各处。",
        ),
    )
    st.toggle(
        say("Newest first", "最新的在前"),
        key="newest",
        help=say(
            "The results that fit best, ordered by the date of their documents: `date` where it says one, else the last change.",
            "把最匹配的结果按文档日期排列：文档写明 `date` 的用该日期，否则用最后修改日期。",
        ),
    )


def _menu(session: Session, name: str, key: str, counted: Mapping[str, int]) -> None:
    st.multiselect(
        name, list(counted), key=key, placeholder=session.say("any", "不限"), format_func=_with_count(counted)
    )


def _with_count(counted: Mapping[str, int]) -> Callable[[str], str]:
    """Menu entries are shown as plain text, so only control characters are removed."""
    return lambda value: f"{safe(value)} ({counted[value]})"


def _time(session: Session, modified: Mapping[str, int]) -> None:
    say, counts, offered = session.say, period_counts(modified, _today()), [*PERIODS, DATES]
    st.selectbox(
        say("Modified", "修改日期"),
        offered,
        index=None,
        **choice(session, "f_time", offered),
        placeholder=say("any time", "不限"),
        format_func=lambda period: period_name(period, counts, say),
    )
    if st.session_state.get("f_time") == DATES:
        first, last = st.columns(2)
        first.date_input(say("From", "从"), key="f_first", format="YYYY-MM-DD", value=None)
        last.date_input(say("To", "到"), key="f_last", format="YYYY-MM-DD", value=None)


def _more(text: str) -> list[tuple[str, str]]:
    """Return the conditions of the free field; what is none becomes a filter that the search refuses with its reason."""
    found = []
    for expression in filter(None, (part.strip() for part in text.replace("；", ";").split(";"))):
        try:
            found.append(parse_expression(expression))
        except BadFilter:
            found.append((expression, "*"))
    return found
