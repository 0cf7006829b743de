"""The app's frame: language and navigation. The page inside asks for the password when there is one."""

from pathlib import Path

import streamlit as st

from quarry.app.ui.index.first import first_index, has_index
from quarry.app.ui.shared.session import current, kept_language, remember_visitor
from quarry.app.uploads import MAX_FILE_MEGABYTES
from quarry.app.words import InterfaceLanguage

PAGES = Path(__file__).parents[1] / "pages"
LANGUAGES = {"en": "English", "zh": "中文"}
SIDEBAR = 250  # pixels: the longest name of a page
# Less empty space, the contrast that WCAG AA asks for (4.5) in captions and on the accent color, which is light on dark pages, and
# menus of methods and figures that fit on a phone.
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding: 1rem 2.5rem 4rem; gap: .6rem; }
[data-testid="stMainBlockContainer"] > [data-testid="stVerticalBlock"] { gap: .6rem; }
[data-testid="stMainBlockContainer"] h1, [data-testid="stMainBlockContainer"] h2 { font-size: 1.5rem; padding: .2rem 0; }
[data-testid="stMainBlockContainer"] h3 { font-size: 1.2rem; }
[data-testid="stMainBlockContainer"] [data-testid="stHeading"] { margin-bottom: .4rem; }
[data-testid="InputInstructions"] { display: none; }
[data-testid="stSidebarHeader"] { height: 2.5rem; margin-bottom: 0; }
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding: 3rem 1rem 4rem; }
  [data-testid="stMainBlockContainer"] [data-testid="stForm"]:has([type="password"]) { margin-top: .75rem; }
  [data-testid="stMainBlockContainer"] [data-testid="stBaseButton-tertiary"] { text-align: start; }
  [data-testid="stColumn"]:has(> [data-testid="stVerticalBlock"] > [data-testid="stElementContainer"] > [data-testid="stMetric"]) {
    flex: 1 1 calc(50% - .5rem); min-width: calc(50% - .5rem); }
}
[data-testid="stMetric"] { padding: .5rem .8rem; }
[data-testid="stMetricValue"] { font-size: 1.4rem; }
@media (prefers-color-scheme: dark) {
  [data-testid^="stBaseButton-primary"]:not(:disabled), [data-testid^="stBaseButton-primary"]:not(:disabled) *,
  [data-testid="stMultiSelect"] [data-tag], [data-testid="stMultiSelect"] [data-tag] * { color: #1b1207 !important; }
}
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] *, [data-testid="stImageCaption"] * {
  color: light-dark(#5f5e5a, #b4b3ae); opacity: 1; }
[data-testid="stDialog"] [data-testid="stImageCaption"] * { color: inherit; }
[data-testid="stButtonGroup"] [role="radiogroup"], [data-testid="stButtonGroup"] > div { flex-wrap: wrap; row-gap: .2rem; }
</style>"""

# Streamlit has no Chinese: what it writes by itself is written over.
CHINESE = f"""<style>
[data-testid="stFileUploaderDropzone"] [data-testid^="stBaseButton"] p,
[data-testid="stFileUploaderDropzoneInstructions"] span {{ font-size: 0; }}
[data-testid="stFileUploaderDropzone"] [data-testid^="stBaseButton"] p::after {{ content: "选择"; font-size: .875rem; }}
[data-testid="stFileUploaderDropzoneInstructions"] span::after {{ content: "每个文件不超过 {MAX_FILE_MEGABYTES} MB"; font-size: .875rem; }}
</style>"""

# `/` goes to the question, and arrows go through the results, as on many sites; a question can be typed at once. Titles and
# citations open what their button opens: the buttons serve keyboards and screen readers, and HTML that holds document text has no
# links of its own.
KEYS = """<script>
(() => {
  if (window.quarryKeys) return;
  window.quarryKeys = true;
  const field = () => document.querySelector('.st-key-q input');
  // Arrows go from the question through the results and back; Enter opens the original, as on any button.
  const walk = event => {
    const results = [...document.querySelectorAll('[class*=st-key-hit-] [class*=st-key-open-] button')];
    const hit = event.target.closest('[class*=st-key-hit-]'), down = event.key === 'ArrowDown';
    const inside = event.target.closest('textarea, select, [contenteditable], [role=dialog], [role=listbox], [role=radiogroup]')
      || event.target.matches('input') && event.target !== field();
    if (inside || !results.length || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const at = hit ? results.findIndex(button => hit.contains(button)) : -1;
    if (event.target !== field() && !hit || at < 0 && !down) return;  // elsewhere arrows scroll
    event.preventDefault();
    const next = down ? results[Math.min(at + 1, results.length - 1)] : results[at - 1];
    (next || field()).focus();
    (next?.closest('[class*=st-key-hit-]') || field()).scrollIntoView({block: 'nearest'});
  };
  document.addEventListener('keydown', event => {
    const typing = event.target.closest('input, textarea, select, [contenteditable], [role=dialog]');
    // a dialog that is opened again gets no focus of its own, and would not hear the key
    const heard = event.target.closest('[role=dialog], [role=listbox], [data-baseweb=popover]');
    if (event.key === 'Escape' && !heard) document.querySelector('[role=dialog] > button')?.click();
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') return walk(event);
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || typing || !field()) return;
    event.preventDefault();
    field().focus();
    field().select();
  });
  document.addEventListener('click', event => {
    const title = event.target.closest('.q-title b'), cite = event.target.closest('.q-cite');
    const number = cite && /^\\[(\\d+)\\]$/.exec(cite.textContent);
    const later = cite && /st-key-turn-([1-9]\\d*)/.exec(cite.closest('[class*=st-key-turn-]')?.className);
    const turn = later ? later[1] + '-' : '';
    const button = title ? title.closest('[class*=st-key-hit-]')?.querySelector('[class*=st-key-open-] button')
      : number && document.querySelector('.st-key-source-' + turn + number[1] + ' button');
    button?.click();
  });
  const first = new MutationObserver(() => {
    if (!field()) return;
    first.disconnect();
    if (!field().value && document.activeElement === document.body && matchMedia('(hover: hover)').matches) field().focus();
  });
  first.observe(document.body, {childList: true, subtree: true});
})();
</script>"""


def frame() -> None:
    """Draw the frame around every page, then the page."""
    st.set_page_config(page_title="Quarry", page_icon="🔎", layout="wide", initial_sidebar_state=SIDEBAR)
    state = st.session_state
    browser: InterfaceLanguage = "zh" if (st.context.locale or "").lower().startswith("zh") else "en"
    if state.get("language") not in LANGUAGES:  # the first run takes the language chosen before, or the browser's
        state.language = state.get("spoken") or kept_language() or browser
    with st.sidebar:
        st.segmented_control(
            "Language / 语言", list(LANGUAGES), format_func=LANGUAGES.__getitem__, key="language", required=True
        )
    state.spoken = state.language
    st.html(STYLE)
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
    if session.language == "zh":
        st.html(CHINESE)
    st.html(KEYS, unsafe_allow_javascript=True)  # the same text for everyone: nothing of documents or users is in it
    remember_visitor(session, browser)
    if not has_index(session.index):
        first_index(session)
        return
    st.navigation(pages).run()
