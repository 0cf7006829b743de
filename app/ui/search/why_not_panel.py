"""Draws "Why is my document not here?": a name in, the stage that lost the document and the change that brings it back."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from quarry.app.ui.search.asked import COUNTS, Asked
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import plain, told
from quarry.indexer.errors import SearchError

if TYPE_CHECKING:
    from quarry.indexer.messages import Message
    from quarry.retriever.searcher import Searcher, SearchOptions
    from quarry.retriever.why_not.report import WhyNot


def why_not_panel(session: Session, searcher: "Searcher", asked: Asked, options: "SearchOptions") -> None:
    """Draw the panel below the results of a search."""
    say = session.say
    with st.expander(say("Why is my document not here?", "为什么没有我的文档？"), icon=":material/search_off:"):
        name = st.text_input(
            say("The document", "文档"),
            placeholder=say("A title, a file name or an id", "标题、文件名或 ID"),
            key="why-not",
            max_chars=2_048,
        )
        if not name.strip():
            st.caption(
                say(
                    "Name a document that should be among the results. You will see which step of the search lost it, and what "
                    "brings it back.",
                    "给出一个本应出现在结果中的文档，即可看到它在检索的哪一步丢失，以及怎样找回来。",
                )
            )
            return
        _explain(session, searcher, asked, options, name)


def _explain(session: Session, searcher: "Searcher", asked: Asked, options: "SearchOptions", name: str) -> None:
    from quarry.app.documents.why_not import explain_missing
    from quarry.retriever.why_not.search import Search

    try:
        with st.spinner(session.say("Following it through the search …", "正在逐步追踪……")):
            found = explain_missing(searcher, Search(asked.query, asked.k, options), name)
    except (SearchError, ValueError) as err:
        st.error(plain(told(err, session.say)))
        return
    _told(session, found)
    if found.change is not None:
        _offer(session, asked, found)


def _told(session: Session, found: "WhyNot") -> None:
    say = session.say
    st.markdown(f"**{plain(found.document.title)}**: {plain(told(found.loss.reason, say))}")
    if found.loss.places is not None:
        places = found.loss.places
        names = (
            say("meaning", "语义"),
            say("words", "词语"),
            say("both, fused", "两路融合"),
            say("last order", "最终次序"),
        )
        ranks = (places.dense, places.bm25, places.fusion, places.last)
        st.table(
            [{name: "–" if rank is None else str(rank) for name, rank in zip(names, ranks, strict=True)}],
            border="horizontal",
            hide_index=True,
        )
    for remark in found.remarks:
        st.caption(plain(told(remark, say)))


def _offer(session: Session, asked: Asked, found: "WhyNot") -> None:
    """Say the change that was tried, and carry it out on a click where this page can ask for it."""
    change = found.change
    if change is None:
        return
    say = session.say
    st.success(
        say(f"Tried: it is then result {change.rank}. ", f"已试过：此时它是第 {change.rank} 条结果。")
        + plain(_joined(change.steps, session)),
        icon=":material/check:",
    )
    changed = replace(
        asked,
        query=change.search.question,
        route=change.search.options.route,
        rerank=change.search.options.rerank,
        k=next((count for count in COUNTS if count >= change.search.k), change.search.k),
        copies=not change.search.options.collapse,
        filters=tuple((key, _values(value)) for key, value in (change.search.options.filters or {}).items()),
    )
    if changed.k in COUNTS:
        st.button(
            say("Search like this", "这样检索"),
            on_click=_carry_out,
            args=(changed,),
            key="why-not-apply",
            icon=":material/arrow_forward:",
        )


def _joined(steps: "Sequence[Message]", session: Session) -> str:
    return session.say("; ", "；").join(told(step, session.say) for step in steps)


def _values(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list | tuple) else (str(value),)


def _carry_out(changed: Asked) -> None:
    st.query_params.from_dict(changed.to_params(Asked()))  # the form follows the address
