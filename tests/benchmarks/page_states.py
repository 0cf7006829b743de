"""Picture every page and state of the app in both languages, both themes and three widths, and report faint or cut text.

    python -m tests.benchmarks.page_states OUT [--index INDEX] [--only NAME ...] [--language en|zh]
        [--theme light|dark] [--width PIXELS]

INDEX is a demo index (`quarry demo`); without it one is made. It is copied, and gets evaluations and judgements so that no page is
empty; a tuned one shows its run. Pictures are OUT/LANGUAGE/NAME-THEME-WIDTH.png; `findings.txt` lists texts below WCAG AA and
pages that are wider than their window. A person looks at every picture: no figure says that a page is good.
"""

import argparse
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from playwright.sync_api import Browser

from quarry.app.ui.shared.data_folders import DATA_VARIABLE
from quarry.demo_corpus import documents_path
from tests.app.ui.browser import Visitor, chromium, served, visitor, without_its_model
from tests.app.ui.contrast import cut_tables, faint_texts
from tests.benchmarks.screenshots import CHINESE, ENGLISH, demo_index, judged

WIDTHS = {390: 844, 1280: 800, 1366: 768, 1920: 1080}  # a phone, two laptops, a desk; pixels
STANDARD_WIDTHS = (390, 1366, 1920)
THEMES = ("light", "dark")
LOCALES = {"en": "en-US", "zh": "zh-CN"}
_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True)
class Looks:
    """In which themes and widths a state is pictured."""

    themes: tuple[str, ...] = THEMES
    widths: tuple[int, ...] = STANDARD_WIDTHS

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return product(self.themes, self.widths)


@dataclass(frozen=True)
class State:
    """A page in a state: where it is, and what a person does there."""

    name: str
    path: str = "/"
    reach: Callable[[Visitor, str], None] | None = None


def button(english: str, chinese: str, nth: int = 0) -> Callable[[Visitor, str], None]:
    def press(person: Visitor, language: str) -> None:
        person.click(english if language == "en" else chinese, nth=nth)

    return press


def tab(number: int, then: Callable[[Visitor, str], None] | None = None) -> Callable[[Visitor, str], None]:
    def choose(person: Visitor, language: str) -> None:
        person.page.get_by_role("tab").nth(number).click()
        person.settle()
        if then:
            then(person, language)

    return choose


def evaluate_demo(person: Visitor, language: str) -> None:
    """Two methods of the demo's judged questions, the first time; later visits open what is saved."""
    new, name = ("New evaluation", "Evaluate") if language == "en" else ("新建评测", "开始评测")
    if not person.page.get_by_role("button", name=name, exact=True).is_visible():
        person.page.get_by_text(new, exact=True).click()
        person.settle()
    person.page.get_by_role("button", name=name, exact=True).click()
    person.page.get_by_role("tab").first.wait_for()
    person.settle()


def compare_saved(person: Visitor, language: str) -> None:
    label = "Open one, or compare several" if language == "en" else "打开一个，或比较多个"
    for _ in range(2):
        person.page.get_by_label(label).click()
        person.page.get_by_role("option").first.click()
        person.page.keyboard.press("Escape")
        person.settle()


def two_methods(person: Visitor, language: str) -> None:
    """One question under two methods."""
    name = "Compare two methods on one question" if language == "en" else "用一个问题比较两种检索方式"
    person.page.get_by_text(name, exact=True).click()
    person.settle()
    field = person.page.get_by_label("Your question, or keywords" if language == "en" else "您的问题，或关键词")
    field.fill(ENGLISH if language == "en" else CHINESE)
    field.press("Enter")
    person.page.locator(".q-two").first.wait_for()
    person.settle()


def document_row(person: Visitor, language: str) -> None:
    field = person.page.get_by_label("Show a document" if language == "en" else "查看文档")
    field.focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        field.press(key)
    person.settle()


def answered(person: Visitor, language: str) -> None:
    del language
    person.page.locator(".q-cite").first.wait_for()


def bottom(person: Visitor, language: str) -> None:
    del language
    person.page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, main.scrollHeight)")
    person.settle()


STATES = (
    State("search-welcome"),
    State("search-results-en", f"/?q={quote(ENGLISH)}"),
    State("search-results-zh", f"/?q={quote(CHINESE)}"),
    State("search-nonsense", "/?q=qwxz+vbnmk+plugh"),
    State("search-no-match", f"/?q={quote(ENGLISH)}&f=lang:fr"),
    State("search-filters", f"/?q={quote(ENGLISH)}", button("Filters", "筛选")),
    State("search-answer", f"/?q={quote(ENGLISH)}&answer=1", answered),
    State("search-newest", f"/?q={quote(ENGLISH)}&sort=newest"),
    State("search-why", f"/?q={quote(ENGLISH)}", button("Why this result?", "为什么是它？")),
    State("search-original", f"/?q={quote(CHINESE)}", button("Open the original", "打开原文")),
    State("search-add", "/", button("Add documents", "添加文档")),
    State("search-bottom", f"/?q={quote(ENGLISH)}", bottom),
    State("documents", "/documents"),
    State("documents-one", "/documents", document_row),
    State("documents-folders", "/documents", bottom),
    State("evaluate-new", "/evaluate"),
    State("evaluate-result", "/evaluate", evaluate_demo),
    State("evaluate-compare", "/evaluate", compare_saved),
    State("evaluate-question", "/evaluate", two_methods),
    State("feedback", "/feedback"),
    State("feedback-judgements", "/feedback", tab(1)),
    State("feedback-training", "/feedback", bottom),
    State("index", "/index"),
    State("index-checks", "/index", tab(1, button("Run the checks", "运行检查"))),
    State("index-disk", "/index", tab(2)),
    State("index-models", "/index", tab(3)),
    State("index-folders", "/index", tab(4)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--language", choices=LOCALES, action="append")
    parser.add_argument("--theme", choices=THEMES, action="append")
    parser.add_argument("--width", type=int, choices=WIDTHS, action="append")
    arguments = parser.parse_args()
    looks = Looks(tuple(arguments.theme or THEMES), tuple(arguments.width or STANDARD_WIDTHS))
    languages = arguments.language or list(LOCALES)
    findings: list[str] = []
    with TemporaryDirectory(prefix="quarry-pictures-") as folder, chromium() as browser:
        for states, url in places(arguments.index, Path(folder)):
            wanted = [state for state in states if not arguments.only or state.name in arguments.only]
            for language in languages:
                for state in wanted:
                    findings += picture(browser, url, state, language, looks, arguments.out)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "findings.txt").write_text("".join(f"{line}\n" for line in findings), encoding="utf-8")
    print(f"{len(findings)} findings; look at every picture below {arguments.out}")


def places(index: Path | None, folder: Path) -> Iterator[tuple[tuple[State, ...], str]]:
    """Serve one index after the other; give the states that each one shows, and its address."""
    own = demo_index(folder / "index") if index is None else Path(shutil.copytree(index, folder / "index"))
    judged(own)
    data = {DATA_VARIABLE: str(documents_path().parent)}
    with served(own, **data) as url:
        yield STATES, url
    with served(without_its_model(own, folder / "moved")) as url:
        yield (State("search-degraded", f"/?q={quote(ENGLISH)}"),), url
    with served(own, QUARRY_UI_PASSWORD="correct horse") as url:
        yield (State("password"),), url
    with new_index(folder) as url:
        yield (State("first-index"),), url


@contextmanager
def new_index(folder: Path) -> Iterator[str]:
    """Serve a folder without an index."""
    (folder / "nothing").mkdir()
    with served(None, cwd=folder / "nothing", **{DATA_VARIABLE: str(documents_path())}) as url:
        yield url


def picture(browser: Browser, url: str, state: State, language: str, looks: Looks, out: Path) -> list[str]:
    """Open a page, reach its state, and picture it in all widths and themes; return what was found."""
    findings: list[str] = []
    folder = out / language
    folder.mkdir(parents=True, exist_ok=True)
    with visitor(browser, url, locale=LOCALES[language], width=1366, height=768) as person:
        person.go(state.path)
        if state.reach:
            try:
                state.reach(person, language)
            except Exception as err:  # noqa: BLE001 (one state that cannot be reached is a finding, not the end)
                findings.append(f"{language} {state.name}: not reached: {str(err).splitlines()[0]}")
        for theme, width in looks:
            person.page.emulate_media(color_scheme=theme)
            person.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
            person.settle()
            name = f"{state.name}-{theme}-{width}"
            person.page.screenshot(path=folder / f"{name}.png")
            if (wide := person.page.evaluate(_WIDE)) > 0:
                findings.append(f"{language} {name}: {wide} pixels wider than the window")
            if width > 1000 and (hidden := cut_tables(person.page)):
                findings.append(f"{language} {name}: tables hide {hidden} pixels of columns")
            findings += [f"{language} {name}: {faint}" for faint in faint_texts(person.page)]
        # Streamlit asks for /PAGE/_stcore/health and host-config first, which is not found, then for those of the root
        findings += [f"{language} {state.name}: {trouble}" for trouble in person.troubles if "404" not in trouble]
    print(f"{language} {state.name}", flush=True)
    return findings


if __name__ == "__main__":
    main()
