"""The page Index and models: the live generation, its checks, its size on disk, and the way back."""

import json

import streamlit as st

from quarry.app.doctor import CheckResult, examine
from quarry.app.ui.index import presenter as shown
from quarry.app.ui.index.folders import folders
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import Job, board
from quarry.app.ui.shared.session import Session, current
from quarry.app.ui.shared.shown_text import counted, told
from quarry.indexer.errors import SearchError
from quarry.indexer.messages import Message
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.writer_lock import writer_lock

_CHECKS = "checks"
ROLLED_BACK = Message.of("ui.rolled_back", "rolled back in the app")
SWITCHED = Message.of("ui.switched", "switched in the app")


def page() -> None:
    """Draw the page."""
    session = current()
    say = session.say
    st.title(say("Index and models", "索引与模型"), anchor=False)
    st.text(str(session.index))
    try:
        views = shown.generation_views(session.index)
    except SearchError as err:
        show_fault(say("This folder cannot be used as an index.", "该文件夹不能作为索引使用。"), err, say)
        _checks(session)
        return
    _facts(session, next(view for view in views if view.live))
    tabs = st.tabs(
        [
            say("Generations", "版本"),
            say("Checks", "检查"),
            say("Disk", "磁盘"),
            say("Models", "模型"),
            say("Folders", "文件夹"),
        ]
    )
    with tabs[0]:
        _generations(session, views)
    with tabs[1]:
        _checks(session)
    with tabs[2]:
        st.dataframe(shown.disk_rows(session.index, say), hide_index=True, width="content")
    with tabs[3]:
        _models(session)
    with tabs[4]:
        folders(session)


def _facts(session: Session, live: shown.GenerationView) -> None:
    say = session.say
    if live.manifest is None:
        st.error(
            say(
                "The live generation is damaged. Roll back to an older one below, or run the suggested command.",
                "当前版本已损坏。请在下方回滚到较早的版本，或运行提示的命令。",
            ),
            icon=":material/error:",
        )
        if live.fault:
            st.code(told(live.fault, say), language=None, wrap_lines=True)
        return
    numbers = (
        (say("Live generation", "当前版本"), live.name),
        (say("Documents", "文档"), f"{live.manifest.documents:,}"),
        (say("Passages", "段落"), f"{live.manifest.chunks:,}"),
        (say("Size", "大小"), shown.megabytes(live.size)),
    )
    for column, (label, value) in zip(st.columns(len(numbers)), numbers, strict=True):
        column.metric(label, value, border=True)
    if not live.model:
        st.info(
            say(
                "This index has no vectors, so it searches by words (BM25) only and misses questions worded differently "
                "from the documents. To add vectors, index again with a model:",
                "该索引没有向量，只能按词检索（BM25），换一种说法的提问会找不到。要加入向量，请用模型重新建立索引：",
            ),
            icon=":material/info:",
        )
        st.code(f"quarry index PATH --into {session.index} --model auto --rebuild", language=None, wrap_lines=True)
    for sentence in shown.notes(live.manifest, say):
        st.text(sentence)


def _generations(session: Session, views: tuple[shown.GenerationView, ...]) -> None:
    say = session.say
    st.dataframe(shown.generation_rows(views, say, session.clock), hide_index=True)
    st.caption(
        say(
            "Switching replaces one small file. Results on screen stay; every visitor's next search uses the other "
            "generation. The models of the last two generations stay in memory, so going back is quick.",
            "切换只替换一个小文件。已显示的结果保持不变；每位访客的下一次搜索使用切换后的版本。"
            "最近两个版本的模型都留在内存中，因此回滚很快。",
        )
    )
    _switching(session, views)
    with st.expander(say("Switch history", "切换历史")):
        st.dataframe(shown.history_rows(session.index, say, session.clock), hide_index=True)
    with st.expander(say("Manifest", "清单")):
        readable = [view for view in views if view.manifest is not None]
        name = st.selectbox(say("Generation", "版本"), [view.name for view in readable], key="index.manifest")
        for view in readable:
            if view.name == name and view.manifest is not None:
                st.code(json.dumps(view.manifest.model_dump(), ensure_ascii=False, indent=1), "json", height=360)


def _switching(session: Session, views: tuple[shown.GenerationView, ...]) -> None:
    say, state = session.say, st.session_state
    if told := state.pop("index.told", ""):
        st.success(told, icon=":material/check:")
    others = [view.name for view in views if not view.live and view.manifest is not None]
    older = [name for name in others if name < next(view.name for view in views if view.live)]
    choice, switch, back, reload = st.columns([2, 1, 1, 1], vertical_alignment="bottom")
    target = choice.selectbox(
        say("Other generations", "其他版本"),
        others,
        key="index.target",
        disabled=not others,
        placeholder=say("none", "没有其他版本"),
    )
    if switch.button(say("Switch to it", "切换到此版本"), key="index.switch", disabled=not others, width="stretch"):
        state["index.wanted"] = (target, SWITCHED)
    if back.button(say("Roll back", "回滚到上一版"), key="index.rollback", disabled=not older, width="stretch"):
        state["index.wanted"] = (older[0], ROLLED_BACK)
    if reload.button(
        say("Reload", "重新载入"),
        key="index.reload",
        width="stretch",
        help=say(
            "Drop opened indexes and models; the next search loads them again.",
            "丢弃已打开的索引和模型，下一次搜索时重新载入。",
        ),
    ):
        st.cache_resource.clear()
        state["index.told"] = say("Reloaded.", "已重新载入。")
        st.rerun()
    if "index.wanted" in state:
        _confirm(session, views)


def _confirm(session: Session, views: tuple[shown.GenerationView, ...]) -> None:
    say, state = session.say, st.session_state
    name, reason = state["index.wanted"]
    target = next((view for view in views if view.name == name), None)
    if target is None or target.live:  # somebody else removed it or switched to it
        del state["index.wanted"]
        return
    with st.container(border=True):
        st.subheader(say("Switch for everyone?", "为所有人切换？"), anchor=False)
        for sentence in shown.switch_words(next(view for view in views if view.live), target, say):
            st.text(sentence)
        yes, no = st.columns(2)
        if no.button(say("Cancel", "取消"), key="index.no", width="stretch"):
            del state["index.wanted"]
            st.rerun()
        if yes.button(say("Switch", "确认切换"), key="index.yes", type="primary", width="stretch"):
            del state["index.wanted"]
            _switch(session, name, reason)


def _switch(session: Session, name: str, reason: Message) -> None:
    try:
        with writer_lock(session.index):
            Generations(session.index).switch_back(name, reason)
    except SearchError as err:
        show_fault(session.say("The generation was not switched.", "未能切换。"), err, session.say)
        return
    st.session_state["index.told"] = session.say(f"Generation {name} is live.", f"版本 {name} 已启用。")
    st.rerun()


def _checks(session: Session) -> None:
    say, jobs = session.say, board(session.index)
    st.caption(
        say(
            "Compares every file with its digest, the texts with the vectors, and the model with the index. "
            "Takes a few seconds with a model; changes nothing.",
            "核对每个文件的摘要、文本与向量是否一致、模型与索引是否相符。有模型时需要数秒；不做任何修改。",
        )
    )
    job = jobs.latest(_CHECKS)
    running = job is not None and job.state == "running"
    if st.button(say("Run the checks", "运行检查"), key="index.check", disabled=running):
        jobs.start(_CHECKS, lambda job: _examine(session, job))
        st.rerun()
    if job is not None:
        st.fragment(_outcome, run_every=1.0 if running else None)(session, job)


def _examine(session: Session, job: Job) -> list[CheckResult]:
    found: list[CheckResult] = []
    for result in examine(session.index):
        found.append(result)
        job.report(len(found), 0, result.name)
    return found


def _outcome(session: Session, job: Job) -> None:
    say = session.say
    if job.state == "running":
        at = counted(job.progress.done, "check", "checks")
        st.info(
            say(f"Checking: {at} done", f"正在检查：已完成 {job.progress.done} 项"), icon=":material/hourglass_top:"
        )
        return
    if st.session_state.get("index.seen") != job.number:  # once, so that the button is enabled again
        st.session_state["index.seen"] = job.number
        st.rerun()
    if job.state == "failed":
        if job.error:
            show_fault(say("The checks did not finish.", "检查未能完成。"), job.error, say)
        return
    st.dataframe(shown.check_rows(job.result, say), hide_index=True)
    commands = shown.remedies(job.result)
    if commands:
        st.text(say("Commands that fix it, most urgent first:", "修复命令，最紧要的在前："))
    for command in commands:
        st.code(command, "bash", wrap_lines=True)


def _models(session: Session) -> None:
    from quarry.indexer.models.listing import list_models
    from quarry.indexer.models.source import hub_cache

    say = session.say
    wide = {say("Installed", "本机"): st.column_config.TextColumn(width=120)}
    st.dataframe(shown.model_rows(list_models(), say), hide_index=True, height=430, column_config=wide)
    st.caption(
        say(
            "Models are looked up in the cache folder below; give the folder of a model that is elsewhere.",
            "模型在下面的缓存文件夹中查找；位于别处的模型可以用文件夹路径指定。",
        )
    )
    st.code(f"{hub_cache()}\nquarry index PATH --into {session.index} --model FOLDER --rebuild", language=None)


page()
