"""The dialog of a passage: the page of a PDF with the passage marked, the passage in its document, and the original to save."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from quarry.app.documents.originals import NoOriginal, Original, find_original, read_original
from quarry.app.documents.page_picture import is_pdf, page_picture
from quarry.app.ui.search.presenter import context_html
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import inert, told

if TYPE_CHECKING:
    from quarry.retriever.searcher import Searcher
    from quarry.retriever.shown.highlight import Span


@dataclass(frozen=True, slots=True)
class Place:
    """A passage in a document.

    Attributes:
        doc_id: The document.
        title: Its title.
        about: HTML of where it comes from.
        span: Start and end (exclusive) of the passage in the document's text.
        spans: Matches within the passage.
        page: From 1; None for formats without pages, and of a single page.
    """

    doc_id: str
    title: str
    about: str
    span: "Span"
    spans: "tuple[Span, ...]"
    page: int | None


def open_original(session: Session, searcher: "Searcher", place: Place) -> None:
    """Open the dialog."""
    title = session.say("The passage in its document", "段落所在的文档")
    st.dialog(title, width="large")(_draw)(session, searcher, place)


def _draw(session: Session, searcher: "Searcher", place: Place) -> None:
    st.html(f"<b>{inert(place.title)}</b>{place.about}")
    text = searcher.index.chunks.document(place.doc_id).text
    found = original_button(session, place.doc_id, key="original")
    if found is not None and is_pdf(found):
        _picture(session, found, place.page or 1, text[slice(*place.span)])
    st.html(context_html(text, place.span, place.spans))


def original_button(session: Session, doc_id: str, *, key: str) -> Original | None:
    """Draw the button that saves a document's file, or why there is none; return the file."""
    say = session.say
    try:
        found = find_original(session.index, doc_id)
    except NoOriginal as err:
        st.caption(told(err.message, say))
        return None
    st.download_button(
        say("Save the original file", "保存原文件"),
        data=lambda: read_original(found),
        file_name=found.name,
        mime="application/octet-stream",
        key=key,
        icon=":material/download:",
        on_click="ignore",
    )
    return found


def _picture(session: Session, found: Original, page: int, passage: str) -> None:
    say = session.say
    try:
        with st.spinner(say("Drawing the page …", "正在绘制页面……")):
            picture = page_picture(found, page, passage)
    except NoOriginal as err:
        st.caption(told(err.message, say))
        return
    st.image(picture, caption=say(f"Page {page}", f"第 {page} 页"), width="stretch")
