"""The tab Folders: what the index was made from, and taking folders and documents out, after a look at what would go."""

import streamlit as st

from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import Say, safe
from quarry.indexer.build import remove_documents
from quarry.indexer.build.removal import Root, Selected, Selection, find_documents, list_roots
from quarry.indexer.errors import SearchError
from quarry.indexer.storage.conditions import parse_expression

_WANTED = "folders.wanted"
_TOLD = "folders.told"
_SHOWN = 10


def folders(session: Session) -> None:
    """Draw the table of folders, the form, and what the form would take out."""
    say, state = session.say, st.session_state
    try:
        roots = list_roots(session.index)
    except SearchError as err:
        show_fault(say("The folders cannot be read.", "无法读取文件夹列表。"), err, say)
        return
    if told := state.pop(_TOLD, ""):
        st.success(told, icon=":material/check:")
    if roots:
        st.dataframe(folder_rows(roots, say), hide_index=True)
    else:
        nothing = "This index was made from no folder; its documents were uploaded or came from programs."
        st.text(say(nothing, "该索引不是由文件夹建立的；其文档来自上传或程序。"))
    _form(session, roots)
    if _WANTED in state:
        _confirm(session, state[_WANTED])


def folder_rows(roots: tuple[Root, ...], say: Say) -> list[dict[str, str]]:
    """Return the table of folders."""
    return [
        {
            say("Folder", "文件夹"): safe(root.prefix),
            say("Documents", "文档"): f"{root.documents:,}",
            say("Files", "文件"): f"{root.files:,}",
            say("Still there", "是否仍在"): say("✓ yes", "✓ 是") if root.there else say("! gone", "! 已不存在"),
            say("Path", "路径"): safe(root.path),
        }
        for root in roots
    ]


def selection_of(root: str | None, doc_ids: str, filters: str) -> Selection:
    """Return what the form asks to take out: a folder, ids one a line, and conditions such as `lang=zh` one a line.

    Raises:
        BadFilter: If a condition is not one.
    """
    wanted: dict[str, list[str]] = {}
    for line in filters.splitlines():
        if line.strip():
            key, value = parse_expression(line)
            wanted.setdefault(key, []).append(value)
    ids = tuple(line.strip() for line in doc_ids.splitlines() if line.strip())
    return Selection(ids, wanted or None, (root,) if root else ())


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


def _form(session: Session, roots: tuple[Root, ...]) -> None:
    say = session.say
    with st.expander(say("Take documents out", "去掉文档")):
        st.caption(
            say(
                "Files on disk are not touched. A new generation is made, so you can roll back.",
                "不会改动磁盘上的文件。会生成新版本，因此可以回滚。",
            )
        )
        root = st.selectbox(
            say("A whole folder", "整个文件夹"),
            [each.prefix for each in roots],
            index=None,
            key="folders.root",
            placeholder=say("none", "不选"),
            format_func=safe,
        )
        doc_ids = st.text_area(say("Documents by id, one a line", "按编号，每行一个"), key="folders.ids", height=80)
        filters = st.text_area(
            say("Documents by metadata, one condition a line", "按元数据，每行一个条件"),
            key="folders.filters",
            height=80,
            placeholder="lang=zh",
        )
        if st.button(say("Show what would go", "查看会去掉什么"), key="folders.look"):
            try:
                st.session_state[_WANTED] = selection_of(root, doc_ids, filters)
            except SearchError as err:
                st.session_state.pop(_WANTED, None)
                show_fault(say("This condition cannot be used.", "不能使用该条件。"), err, say)


def _confirm(session: Session, selection: Selection) -> None:
    say, state = session.say, st.session_state
    try:
        found = find_documents(session.index, selection)
    except SearchError as err:
        del state[_WANTED]
        show_fault(say("Nothing was taken out.", "没有去掉任何文档。"), err, say)
        return
    with st.container(border=True):
        for sentence in removal_words(found, say):
            st.text(sentence)
        yes, no = st.columns(2)
        if no.button(say("Cancel", "取消"), key="folders.no", width="stretch"):
            del state[_WANTED]
            st.rerun()
        nothing = not (found.doc_ids or found.roots)
        if yes.button(say("Take out", "去掉"), key="folders.yes", type="primary", width="stretch", disabled=nothing):
            del state[_WANTED]
            _take_out(session, selection)


def _take_out(session: Session, selection: Selection) -> None:
    say = session.say
    try:
        with st.spinner(say("Making a new generation", "正在生成新版本")):
            report = remove_documents(session.index, selection, session.embedder())
    except SearchError as err:
        show_fault(say("Nothing was taken out.", "没有去掉任何文档。"), err, say)
        return
    one = "document" if report.removed == 1 else "documents"
    st.session_state[_TOLD] = say(
        f"{report.removed:,} {one} taken out; generation {report.generation} is live.",
        f"已去掉 {report.removed:,} 个文档；版本 {report.generation} 已启用。",
    )
    st.rerun()
