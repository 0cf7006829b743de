"""The app tells nobody apart, so it shows no index with documents that not everybody may see, unless it was started to do so."""

import os
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from quarry.indexer.errors import SearchError
from quarry.indexer.storage.generations import Generations
from quarry.indexer.stores.parts import hides_from_strangers

EVERYTHING_VARIABLE = "QUARRY_UI_EVERYTHING"


def check_everyone_may_see(index: Path, say: Callable[[str, str], str]) -> None:
    """Stop the page where the live generation has a document that not everybody may see.

    Documents may get `allow` while the app runs, so each generation is looked at once.

    Args:
        index: The index folder.
        say: Chooses between an English and a Chinese text.
    """
    generations = Generations(index)
    if os.environ.get(EVERYTHING_VARIABLE) or not generations.exists():
        return
    try:
        hides = _hides(str(index), generations.pointer().generation)
    except SearchError:
        return  # a damaged index shows nothing; the page says what is wrong
    if not hides:
        return
    st.error(
        say(
            "Some documents of this index name in their metadata `allow` who may see them. This app cannot tell its visitors apart, so it "
            "shows nothing. Use quarry serve with keys, or start the app with --everything to show all documents to everybody.",
            "该索引中有文档在元数据 `allow` 中写明了谁可以查看。本应用无法区分访客，因此不显示任何内容。"
            "请改用带密钥的 quarry serve，或以 --everything 启动应用，向所有人显示全部文档。",
        ),
        icon=":material/lock:",
    )
    st.stop()


@st.cache_resource(max_entries=4, show_spinner=False)
def _hides(index: str, generation: str) -> bool:  # noqa: ARG001 (the key)
    return hides_from_strangers(Path(index))
