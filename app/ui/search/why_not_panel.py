"""Draws "Why is my document not here?": a name in, the stage that lost the document and the change that brings it back.

A name that several documents have, or none, offers documents to choose from.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from quarry.app.ui.search.asked import COUNTS, Asked
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import label, plain, sentence, told
from quarry.indexer.errors import SearchError

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from quarry.indexer.messages import Message
    from quarry.retriever.searcher import Searcher, SearchOptions
    from quarry.retriever.why_not.report import WhyNot


_OFFERED = 5  # documents to choose from


def why_not_panel(session: Session, searcher: "Searcher", asked: Asked, options: "SearchOptions") -> None:
    """Draw the panel below the results of a search."""
    say = session.say
    with _expander(session):
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


def why_not_one_index(session: Session) -> None:
    """Draw the panel of a search of several indexes, which says how to ask."""
    with _expander(session):
        st.caption(
            session.say(
                "Choose a single index above: a document is followed through the search of its index.",
                "请在上方只选一个索引：只能在文档所属的那个索引里追踪它。",
            )
        )


def _expander(session: Session) -> "DeltaGenerator":
    # a key keeps it open when the number of results above it changes
    title = session.say("Why is my document not here?", "为什么没有我的文档？")
    return st.expander(title, icon=":material/search_off:", key="why-not-panel")


def _explain(session: Session, searcher: "Searcher", asked: Asked, options: "SearchOptions", name: str) -> None:
    from quarry.app.documents.why_not import explain_missing
    from quarry.retriever.why_not.document import SeveralDocuments
    from quarry.retriever.why_not.search import Search

    try:
        with st.spinner(session.say("Following it through the search …", "正在逐步追踪……")):
            found = explain_missing(searcher, Search(asked.query, asked.k, options), name)
    except SeveralDocuments as err:
        several = session.say(
            f"This is in the names of several documents ({len(err.doc_ids):,}). Which one?",
            f"有 {len(err.doc_ids):,} 个文档的名称含有它，是哪一个？",
        )
        _names(searcher, several, err.doc_ids)
        return
    except (SearchError, ValueError) as err:
        st.error(plain(told(err, session.say)))
        return
    _told(session, found)
    if found.document.alike:
        _names(searcher, session.say("Did you mean one of these?", "是不是其中一个？"), found.document.alike)
    if found.change is not None:
        _offer(session, asked, found, options)
    elif found.document.doc_ids and found.loss.stage != "shown":
        st.caption(
            session.say(
                "No single change that was tried brings it back.",
                "试过的各种改动都不能单独把它找回来。",
            )
        )


def _names(searcher: "Searcher", question: str, doc_ids: Sequence[str]) -> None:
    """Draw documents to choose from; a click names one."""
    st.text(question)
    titles = searcher.index.chunks.titles(list(doc_ids[:_OFFERED]))
    with st.container(gap=None):
        for number, doc_id in enumerate(doc_ids[:_OFFERED]):
            title = titles.get(doc_id)
            name = label(f"{title} ({doc_id})" if title and title != doc_id else doc_id)
            st.button(
                name,
                key=f"why-not-name-{number}",
                icon=":material/description:",
                type="tertiary",
                on_click=_name,
                args=(doc_id,),
            )
    if len(doc_ids) > _OFFERED:
        st.text("…")


def _name(doc_id: str) -> None:
    st.session_state["why-not"] = doc_id


def _told(session: Session, found: "WhyNot") -> None:
    say = session.say
    reason = plain(sentence(told(found.loss.reason, say)))
    if found.document.alike:  # which stand below, to be chosen
        reason = say("No document of the index has this name.", "索引中没有这个名称的文档。")
    st.markdown(f"**{plain(found.document.title)}**{say(': ', '：')}{reason}")
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
        st.caption(plain(sentence(told(remark, say))))


def _offer(session: Session, asked: Asked, found: "WhyNot", options: "SearchOptions") -> None:
    """Say the change that was tried, and carry it out on a click where this page can ask for it."""
    change = found.change
    if change is None:
        return
    say = session.say
    st.success(
        plain(sentence(_joined(change.steps, session)))
        + say(f" Tried: it is then result {change.rank}.", f"已试过：此时它是第 {change.rank} 条结果。"),
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
    if changed.k in COUNTS and change.search.options.rerank_depth == options.rerank_depth:
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
