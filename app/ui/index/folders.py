"""The tab Folders: what the index was made from, and taking folders and documents out, after a look at what would go."""

import streamlit as st

from quarry.app.ui.index.removal import confirm_removal, removal_note, told_key, wanted_key
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import Say, safe
from quarry.indexer.build.removal import Root, Selection, list_roots
from quarry.indexer.errors import SearchError
from quarry.indexer.storage.texts.conditions import parse_expression

_PLACE = "folders"


def folders(session: Session) -> None:
    """Draw the table of folders, the form, and what the form would take out."""
    say, state = session.say, st.session_state
    try:
        roots = list_roots(session.index)
    except SearchError as err:
        show_fault(say("The folders cannot be read.", "无法读取文件夹列表。"), err, say)
        return
    if told := state.pop(told_key(_PLACE), ""):
        st.success(told, icon=":material/check:")
    if roots:
        st.dataframe(folder_rows(roots, say), hide_index=True)
    else:
        nothing = "This index was made from no folder; its documents were uploaded or came from programs."
        st.text(say(nothing, "该索引不是由文件夹建立的；其文档来自上传或程序。"))
    _form(session, roots)
    if wanted_key(_PLACE) in state:
        confirm_removal(session, _PLACE)


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


def _form(session: Session, roots: tuple[Root, ...]) -> None:
    say = session.say
    with st.expander(say("Take documents out", "去掉文档")):
        st.caption(removal_note(session))
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
                st.session_state[wanted_key(_PLACE)] = selection_of(root, doc_ids, filters)
            except SearchError as err:
                st.session_state.pop(wanted_key(_PLACE), None)
                show_fault(say("This condition cannot be used.", "不能使用该条件。"), err, say)
