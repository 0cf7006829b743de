"""Taking documents out of the index: what would go is shown first, for every place of the app that asks for it."""

import streamlit as st

from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import Say, safe
from quarry.indexer.build import remove_documents
from quarry.indexer.build.removal import Selected, Selection, find_documents
from quarry.indexer.errors import SearchError

_SHOWN = 10


def wanted_key(place: str) -> str:
    """The key of the browser session under which a place of the app keeps the selection that waits to be confirmed."""
    return f"{place}.wanted"


def told_key(place: str) -> str:
    """The key under which a place finds the sentence about what was taken out, after the page was drawn anew."""
    return f"{place}.told"


def removal_note(session: Session) -> str:
    """Return what a removal leaves alone."""
    return session.say(
        "Files on disk are not touched. A new generation is made, so you can roll back.",
        "不会改动磁盘上的文件。会生成新版本，因此可以回滚。",
    )


def confirm_removal(session: Session, place: str, note: str = "") -> None:
    """Draw what the waiting selection of a place would take out, and the two buttons."""
    say, state = session.say, st.session_state
    selection: Selection = state[wanted_key(place)]
    try:
        found = find_documents(session.index, selection)
    except SearchError as err:
        del state[wanted_key(place)]
        show_fault(say("Nothing was taken out.", "没有去掉任何文档。"), err, say)
        return
    with st.container(border=True):
        for sentence in removal_words(found, say):
            st.text(sentence)
        if note:
            st.caption(note)
        yes, no = st.columns(2)
        if no.button(say("Cancel", "取消"), key=f"{place}.no", width="stretch"):
            del state[wanted_key(place)]
            st.rerun()
        nothing = not (found.doc_ids or found.roots)
        if yes.button(say("Take out", "去掉"), key=f"{place}.yes", type="primary", width="stretch", disabled=nothing):
            del state[wanted_key(place)]
            _take_out(session, selection, place)


def removal_words(found: Selected, say: Say) -> list[str]:
    """Return what would go, one sentence each."""
    count = len(found.doc_ids)
    one = "document" if count == 1 else "documents"
    lines = [say(f"{count:,} {one} would be taken out.", f"将从索引中去掉 {count:,} 个文档。")]
    if found.returning:
        lines.append(
            say(
                f"{found.returning:,} of them belong to folders that stay, and come back when these are indexed again.",
                f"其中 {found.returning:,} 个属于仍在索引中的文件夹，再次索引时会回来。",
            )
        )
    if found.not_found:
        lines.append(
            say("No document has these ids: ", "没有文档使用这些编号：") + safe(", ".join(found.not_found[:_SHOWN]))
        )
    lines += [safe(doc_id) for doc_id in found.doc_ids[:_SHOWN]]
    return [*lines, *(["..."] if count > _SHOWN else [])]


def _take_out(session: Session, selection: Selection, place: str) -> None:
    say = session.say
    try:
        with st.spinner(say("Making a new generation", "正在生成新版本")):
            report = remove_documents(session.index, selection, session.embedder())
    except SearchError as err:
        show_fault(say("Nothing was taken out.", "没有去掉任何文档。"), err, say)
        return
    one = "document" if report.removed == 1 else "documents"
    st.session_state[told_key(place)] = say(
        f"{report.removed:,} {one} taken out; generation {report.generation} is live.",
        f"已去掉 {report.removed:,} 个文档；版本 {report.generation} 已启用。",
    )
    st.rerun()
