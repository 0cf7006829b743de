"""The app's frame: language and navigation. The page inside asks for the password when there is one."""

from pathlib import Path

import streamlit as st

from quarry.app.ui.index.first import first_index, has_index
from quarry.app.ui.shared.session import current, remember_visitor

PAGES = Path(__file__).parents[1] / "pages"
LANGUAGES = {"en": "English", "zh": "中文"}
# Less empty space above, captions with the contrast that WCAG AA asks for (4.5), and menus of methods that wrap on a phone.
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 3.2rem; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] * { color: light-dark(#5f5e5a, #b4b3ae); opacity: 1; }
[data-testid="stButtonGroup"] [role="radiogroup"], [data-testid="stButtonGroup"] > div { flex-wrap: wrap; row-gap: .2rem; }
</style>"""


def frame() -> None:
    """Draw the frame around every page, then the page."""
    st.set_page_config(page_title="Quarry", page_icon="🔎", layout="wide")
    state = st.session_state
    if state.get("language") not in LANGUAGES:  # the first run takes the browser's language
        browser = "zh" if (st.context.locale or "").lower().startswith("zh") else "en"
        state.language = state.get("spoken", browser)
    with st.sidebar:
        st.segmented_control(
            "Language / 语言", list(LANGUAGES), format_func=LANGUAGES.__getitem__, key="language", required=True
        )
    state.spoken = state.language
    session = current()
    say = session.say
    titles = {
        "search.py": (say("Search", "搜索"), ":material/search:"),
        "documents.py": (say("Documents", "文档"), ":material/description:"),
        "evaluate.py": (say("Evaluate", "评测"), ":material/monitoring:"),
        "feedback.py": (say("Feedback and training", "反馈与训练"), ":material/thumbs_up_down:"),
        "index.py": (say("Index and models", "索引与模型"), ":material/database:"),
    }
    pages = [
        st.Page(PAGES / name, title=title, icon=icon, default=name == "search.py")
        for name, (title, icon) in titles.items()
        if (PAGES / name).is_file()
    ]
    st.html(STYLE)
    remember_visitor(session)
    if not has_index(session.index):
        first_index(session)
        return
    st.navigation(pages).run()
