"""The first index: choose a folder, watch it being indexed, then search. Shown while there is no index yet."""

import os
from pathlib import Path

import streamlit as st

from quarry.app.calibrating import calibrate_built
from quarry.app.documents.skips import remember_skips
from quarry.app.ui.shared.data_folders import allowed_path, allowed_roots
from quarry.app.ui.shared.fault import show_fault
from quarry.app.ui.shared.jobs import BuildWatch, Job, board
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import Say
from quarry.app.wiring import choose_model
from quarry.indexer.build import BuildReport, build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import SearchError, SettingsError
from quarry.indexer.storage.generations import Generations

FOLDER_VARIABLE = "QUARRY_UI_FOLDER"
_KIND = "first index"


def has_index(index: Path) -> bool:
    """Whether there is an index, sound or damaged."""
    generations = Generations(index)
    return generations.exists() or (generations.folder.is_dir() and bool(generations.finished()))


def phase_name(phase: str, say: Say) -> str:
    """Return the name of a phase of the build."""
    names = {
        "reading": say("Reading the files", "读取文件"),
        "cutting": say("Cutting passages", "切分段落"),
        "encoding": say("Encoding passages", "编码段落"),
        "storing": say("Storing vectors", "存储向量"),
        "titles": say("Encoding titles", "编码标题"),
        "lexical": say("Indexing words", "建立关键词索引"),
        "probing": say("Probing both routes", "检验两种检索方式"),
    }
    return names.get(phase, phase)


def first_index(session: Session) -> None:
    """Draw the form, or the progress of the first build; a folder given to `quarry ui` is indexed at once."""
    say, jobs = session.say, board(session.index)
    st.title(say("Index your documents", "为文档建立索引"), anchor=False)
    given = os.environ.get(FOLDER_VARIABLE, "")
    job = jobs.latest(_KIND)
    if job is None and given:
        job = jobs.start(_KIND, lambda job: build_first(job, session.index, Path(given), session.device))
    if job is not None:
        running = job.state == "running"
        st.fragment(_progress, run_every=0.5 if running else None)(session, job)
        if job.state in ("running", "done"):
            return
    _form(session, given)


def _form(session: Session, given: str) -> None:
    say, roots = session.say, allowed_roots()
    st.text(
        say(
            f"There is no index in {session.index} yet. Choose a folder; its files stay where they are.",
            f"{session.index} 中还没有索引。请选择一个文件夹；其中的文件不会被移动或修改。",
        )
    )
    typed = st.text_input(say("Folder", "文件夹"), value=given, key="first.folder", placeholder=str(roots[0]))
    if st.button(say("Index this folder", "为该文件夹建立索引"), key="first.go", type="primary"):
        try:
            folder = Path(given) if typed == given and given else chosen_folder(typed, roots)
            board(session.index).start(_KIND, lambda job: build_first(job, session.index, folder, session.device))
        except SearchError as err:
            show_fault(say("This folder cannot be used.", "不能使用该文件夹。"), err, say)
            return
        st.rerun()


def chosen_folder(typed: str, roots: tuple[Path, ...]) -> Path:
    """Return the folder that a visitor typed, absolute or relative to the first root.

    Raises:
        SettingsError: If it is outside the roots or is not a folder.
    """
    folder = allowed_path(typed, roots)
    if not typed.strip() or not folder.is_dir():
        raise SettingsError(
            "ui.no_folder", "{path} is not a folder", expected="a folder of documents", path=typed.strip()
        )
    return folder.resolve()


def build_first(job: Job, index: Path, folder: Path, device: str) -> BuildReport:
    """Index a folder with the best model of this machine.

    Raises:
        JobCancelledError: If the job was asked to stop; no index is left.
        SearchError: From `choose_model` and `build_index`.
    """
    chosen = choose_model("auto", device=device)
    settings = BuildOptions(model_folder=chosen.folder, notes=chosen.notes)
    report = build_index(index, [folder], chosen.embedder, settings, BuildWatch(job))
    calibrate_built(index, chosen.embedder)
    remember_skips(index, [folder], report.skipped)
    return report


def _progress(session: Session, job: Job) -> None:
    say, progress = session.say, job.progress
    if job.state == "running":
        doing = phase_name(str(progress.doing), say) or say("Loading the model", "正在载入模型")
        count = f" {progress.done:,} / {progress.total:,}" if progress.total else ""
        st.progress(progress.share, text=f"{doing}{count} · {progress.seconds:.0f} s")
        if st.button(say("Cancel", "取消"), key="first.cancel", disabled=job.stopping):
            job.cancel()
        return
    if st.session_state.get("first.seen") != job.number:
        st.session_state["first.seen"] = job.number
        st.rerun()
    if job.state == "failed" and job.error:
        show_fault(say("The folder was not indexed.", "未能建立索引。"), job.error, say)
    elif job.state == "cancelled":
        st.info(say("Cancelled.", "已取消。"), icon=":material/cancel:")
