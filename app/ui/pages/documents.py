"""The page Documents: what is in the index, how it was cut, what was skipped; documents can be opened and taken out."""

import streamlit as st

from quarry.app.documents.catalog import Listing, list_documents, show_document
from quarry.app.documents.skips import list_skips
from quarry.app.ui.documents import presenter as shown
from quarry.app.ui.documents.actions import index_again
from quarry.app.ui.documents.watching import watch_state
from quarry.app.ui.index.removal import confirm_removal, removal_note, told_key, wanted_key
from quarry.app.ui.search.original import original_button
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.session import Session, current
from quarry.app.ui.shared.shown_text import counted, safe
from quarry.indexer.build.removal import Selection
from quarry.indexer.errors import SearchError

_PLACE = "documents"
_PASSAGES = 50  # shown at once


def page() -> None:
    """Draw the page."""
    session = current()
    say, state = session.say, st.session_state
    st.title(say("Documents", "文档"), anchor=False)
    if words := state.pop(told_key(_PLACE), ""):
        st.success(words, icon=":material/check:")
    name, lines = _conditions(session)
    try:
        filters = shown.conditions_of(lines)
        start = (int(state.get("documents.page") or 1) - 1) * shown.PER_PAGE
        listing = list_documents(session.index, filters=filters, words=name, start=start, count=shown.PER_PAGE)
    except SearchError as err:
        show_fault(say("The documents cannot be listed.", "无法列出文档。"), err, say)
        return
    if not listing.total and not filters and not name.strip():
        st.info(
            say(
                "This index has no documents yet. Add some on the Search page, or index a folder.",
                "这个索引里还没有文档。可以在“搜索”页添加，或索引一个文件夹。",
            ),
            icon=":material/inbox:",
        )
    else:
        _documents(session, listing, name, filters)
    _skips(session)
    st.subheader(say("Folders", "文件夹"), anchor=False)
    watch_state(session)
    index_again(session)


def _documents(session: Session, listing: Listing, name: str, filters: dict[str, list[str]] | None) -> None:
    """Draw a page of the table, what can be done with its rows, and the document that is chosen."""
    say, state = session.say, st.session_state
    pages = max(1, -(-listing.total // shown.PER_PAGE))
    if listing.start and not listing.documents:  # fewer match than before
        del state["documents.page"]
        st.rerun()
    if pages > 1:
        st.number_input(say("Page", "页"), 1, pages, key="documents.page")
    chosen = _table(session, listing)
    _removal(session, chosen, listing, Selection(filters=filters) if filters and not name.strip() else None)
    titles = {document.id: document.title for document in listing.documents}
    wanted = st.selectbox(
        say("Show a document", "查看文档"),
        list(titles),
        index=None,
        key="documents.show",
        format_func=lambda doc_id: safe(f"{titles.get(doc_id, '')} ({doc_id})"),
        placeholder=say("Choose one, or a row of the table", "选择一个，或选中表中的一行"),
    )
    if opened := wanted or (chosen[0] if len(chosen) == 1 else None):
        _document(session, opened)


def _conditions(session: Session) -> tuple[str, str]:
    say = session.say
    left, right = st.columns(2)
    name = left.text_input(say("Title or id contains", "标题或编号包含"), key="documents.name")
    lines = right.text_area(
        say("Conditions, one a line", "条件，每行一个"),
        key="documents.where",
        height=80,
        placeholder="format=pdf\nlang=zh",
    )
    return name, lines


def _table(session: Session, listing: Listing) -> list[str]:
    """Draw the table; return the ids of the rows that are chosen."""
    say = session.say
    st.text(shown.range_words(listing, say))
    if not listing.documents:
        return []
    event = st.dataframe(
        shown.document_rows(listing.documents, say),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=f"documents.table.{listing.start}",
    )
    st.caption(
        say(
            "Choose one row to see its passages, several to take them out.",
            "选择一行可查看其段落，选择多行可一并去掉。",
        )
    )
    rows = event.get("selection", {}).get("rows", [])
    return [listing.documents[row].id for row in rows if row < len(listing.documents)]


def _removal(session: Session, chosen: list[str], listing: Listing, matching: Selection | None) -> None:
    say, state = session.say, st.session_state
    some, every = st.columns(2)
    many = counted(len(chosen), "document", "documents")
    if some.button(
        say(f"Take out the chosen {many}", f"去掉所选的 {len(chosen):,} 个文档")
        if chosen
        else say("Take out the chosen documents", "去掉所选的文档"),
        key="documents.remove",
        disabled=not chosen,
        width="stretch",
    ):
        state[wanted_key(_PLACE)] = Selection(doc_ids=tuple(chosen))
    if matching is not None and every.button(
        say(f"Take out all {listing.total:,} that match", f"去掉符合条件的全部 {listing.total:,} 个"),
        key="documents.remove_all",
        disabled=not listing.total,
        width="stretch",
    ):
        state[wanted_key(_PLACE)] = matching
    if wanted_key(_PLACE) in state:
        confirm_removal(session, _PLACE, removal_note(session))


def _document(session: Session, doc_id: str) -> None:
    say = session.say
    try:
        document = show_document(session.index, doc_id)
    except SearchError as err:
        show_fault(say("This document cannot be shown.", "无法显示该文档。"), err, say)
        return
    st.subheader(say("Document", "文档"), anchor=False)
    st.text(safe(document.document.title))
    original_button(session, doc_id, key="documents.original")
    st.dataframe(shown.fact_rows(document, say), hide_index=True, width="content")
    passages = document.passages
    for number, passage in enumerate(passages[:_PASSAGES], start=1):
        with st.container(border=True):
            st.text(shown.passage_words(passage, number, len(passages), say))
            st.code(safe(passage.text), language=None, wrap_lines=True)
    if len(passages) > _PASSAGES:
        rest = counted(len(passages) - _PASSAGES, "passage", "passages")
        st.text(say(f"... and {rest} more", f"……另有 {len(passages) - _PASSAGES:,} 段"))


def _skips(session: Session) -> None:
    say = session.say
    skips = list_skips(session.index)
    if skips:
        with st.expander(say(f"Skipped files: {len(skips):,}", f"跳过的文件：{len(skips):,}")):
            st.dataframe(shown.skip_rows(skips, say), hide_index=True)


page()
