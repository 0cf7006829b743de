"""What the tests of the pages share: a lexical-only index of the demo corpus, and a page opened in AppTest."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.testing.v1 import AppTest

from quarry.app.ui.shared import session
from quarry.demo_corpus import documents_path
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions

MAIN = Path(session.__file__).parents[1] / "entry" / "main.py"
POISON = '<script>document.title="owned"</script> **bold** [link](http://x.invalid) $x^2$ :red[red] <img src=x onerror=alert(1)>'


@cache
def _built() -> Path:
    """One index for the whole test process: two generations, the second with two documents more."""
    base = Path(tempfile.mkdtemp(prefix="quarry-ui-"))
    index, more = base / "index", base / "more"
    more.mkdir()
    (more / "poison.md").write_text(
        f"# {POISON}\n\nThe wolpertinger is a hare with antlers. {POISON}", encoding="utf-8"
    )
    (more / "开放时间.md").write_text("# 开放时间\n\n阅览室九点到五点开放。", encoding="utf-8")
    build_index(index, [documents_path()], None, BuildOptions())
    build_index(index, [more], None, BuildOptions())
    return index


def demo_index(folder: Path) -> Path:
    """Copy the index of the demo corpus below a folder of the test's own."""
    return Path(shutil.copytree(_built(), folder / "index"))


def open_page(index: Path, monkeypatch, page: str, language: str = "en") -> AppTest:
    """Open one page of the app on an index; caches of earlier tests are dropped."""
    monkeypatch.setenv(session.INDEX_VARIABLE, str(index))
    monkeypatch.setenv(session.RERANK_VARIABLE, "none")
    st.cache_resource.clear()
    at = AppTest.from_file(str(MAIN), default_timeout=60)
    at.session_state["language"] = language
    at.run()
    return at.switch_page(f"../pages/{page}.py").run()


def texts(at: AppTest) -> str:
    """Everything that the page says outside of tables and code."""
    kinds = (
        at.title,
        at.subheader,
        at.header,
        at.markdown,
        at.caption,
        at.text,
        at.info,
        at.warning,
        at.error,
        at.success,
    )
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def markdown(at: AppTest) -> str:
    """Everything on the page that is rendered as Markdown: what must never hold text of users or documents."""
    kinds = (at.title, at.subheader, at.header, at.markdown, at.caption, at.info, at.warning, at.error, at.success)
    labels = [
        element.label
        for kind in (at.expander, at.metric, at.button, at.selectbox, at.multiselect, at.tabs)
        for element in kind
    ]
    return "\n".join([*(str(element.value) for kind in kinds for element in kind), *labels])
