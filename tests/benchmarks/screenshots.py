"""Make the pictures of docs/: the search page in both languages, an explanation, a degraded answer, and every other page.

    python -m tests.benchmarks.screenshots [--index INDEX] [--tuned INDEX] [--out docs]

Without --index the demo corpus is indexed first. --tuned is an index with a promoted run (`quarry tune`, `tests.benchmarks.tuning`),
for the two pictures of training, which are left as they are without it. Neither index is changed. Look at every picture before
keeping it; `tests.benchmarks.page_states` makes those that are for looking only.
"""

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser

from quarry.app.ui.shared.data_folders import DATA_VARIABLE
from quarry.app.ui.shared.session import feedback_path
from quarry.demo_corpus import documents_path
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog
from tests.app.ui.browser import Visitor, chromium, served, visitor, without_its_model

ENGLISH = "How long ago did cyanobacteria enter a cell?"
CHINESE = "什么是最有效的抗炎药?"
MIXED = "What is an additional meaning intended when the word prime is used?"
COLOURS = 160  # no difference to the eye, and half the size
TALL = 1155  # pixels; from the runs to the models
LARGEST = 200_000  # bytes; pictures travel with the repository


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--index", type=Path)
    parser.add_argument("--tuned", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="quarry-pictures-") as folder, chromium() as browser:
        if arguments.tuned:
            tuned = shutil.copytree(arguments.tuned, Path(folder) / "tuned")
            with served(tuned, "--rerank", "none", cwd=Path(folder)) as url:
                training(browser, url, arguments.out)
        index = Path(folder) / "index"
        if arguments.index:
            shutil.copytree(arguments.index, index)
        else:
            demo_index(index)
        judged(index)
        data = Path(
            shutil.copytree(documents_path().parent, Path(folder) / "demo_corpus")
        )  # no path of this machine is pictured
        with served(index, cwd=Path(folder), **{DATA_VARIABLE: str(data)}) as url:
            whole(browser, url, arguments.out)
            other_pages(browser, url, arguments.out)
        with served(without_its_model(index, Path(folder) / "moved")) as url:
            degraded(browser, url, arguments.out)


def demo_index(folder: Path) -> Path:
    """Index the demo corpus with the model that `quarry demo` would take."""
    from quarry.app.wiring import choose_model
    from quarry.indexer.build import build_index
    from quarry.indexer.build.plan import BuildOptions

    chosen = choose_model("auto", device="cpu")
    build_index(folder, [documents_path()], chosen.embedder, BuildOptions(model_folder=chosen.folder))
    return folder


def whole(browser: Browser, url: str, out: Path) -> None:
    with visitor(browser, url) as person:
        person.go(f"/?q={quote(CHINESE)}")  # what a first question loads is not part of the times on the pictures
        person.go(f"/?q={quote(ENGLISH)}")
        keep(person, out / "search-en.png")
        person.go(f"/?q={quote(MIXED)}")
        person.click("Why this result?", nth=1)
        person.page.locator("canvas, svg.marks").first.wait_for()
        person.page.locator(".q-hit").nth(1).evaluate("card => card.scrollIntoView({block: 'start'})")
        person.page.locator("[data-testid=stMain]").evaluate("main => main.scrollBy(0, -70)")
        keep(person, out / "search-why.png")
    with visitor(browser, url, locale="zh-CN") as person:
        person.go(f"/?q={quote(CHINESE)}")
        keep(person, out / "search-zh.png")


def degraded(browser: Browser, url: str, out: Path) -> None:
    with visitor(browser, url) as person:
        person.go(f"/?q={quote(ENGLISH)}")
        keep(person, out / "search-degraded.png")


def judged(index: Path) -> None:
    """Write judgements of two visitors, and questions without an answer, so that no page is empty."""
    with FeedbackLog.open(feedback_path(index)) as log:
        for voter in ("a", "b"):
            for question, document in (
                (ENGLISH, "documents/en/chloroplast-1.md"),
                (CHINESE, "documents/zh/免疫系统-1.pdf"),
            ):
                log.append(FeedbackEvent(question, "thumb_up", voter, "000001", "c1", document))
            log.append(
                FeedbackEvent(
                    "Who waters the plants?", "thumb_down", voter, "000001", "c1", "documents/en/chloroplast-1.md"
                )
            )
        log.append(FeedbackEvent("谁给植物浇水？", "note", "b", "000001", note="没有找到"))


def evaluate(person: Visitor, *, data_set: str = "demo_corpus") -> None:
    """Compare the methods that are chosen, on a data set that the page offers."""
    if not person.page.get_by_role("button", name="Evaluate", exact=True).is_visible():
        person.page.get_by_text("New evaluation", exact=True).click()
        person.settle()
    person.page.get_by_role("combobox", name="Data set", exact=True).click()
    person.page.get_by_role("option", name=data_set).first.click()
    person.settle()
    person.page.get_by_role("button", name="Evaluate", exact=True).click()
    person.page.get_by_role("tab").first.wait_for()
    person.settle()


def other_pages(browser: Browser, url: str, out: Path) -> None:
    """Documents, an evaluation of the demo's questions, feedback, and the index."""
    with visitor(browser, url) as person:
        for name in ("documents", "evaluate", "feedback", "index"):
            person.go(f"/{name}")
            if name == "evaluate":
                evaluate(person)
            keep(person, out / f"{name}.png")


def training(browser: Browser, url: str, out: Path) -> None:
    """Runs, the verdict and the curves of the newest one, and the models that answered."""
    for locale, runs, name in (("en-US", "Runs", "training-en.png"), ("zh-CN", "运行记录", "training-zh.png")):
        with visitor(browser, url, locale=locale, height=TALL) as person:
            person.go("/feedback")
            person.page.locator("canvas, svg.marks").first.wait_for()
            heading = person.page.get_by_role("heading", name=runs, exact=True)
            heading.evaluate("heading => heading.scrollIntoView({block: 'start'})")
            person.page.locator("[data-testid=stMain]").evaluate("main => main.scrollBy(0, 60)")
            keep(person, out / name)


def keep(person: Visitor, path: Path) -> None:
    person.page.mouse.move(0, 899)
    person.page.wait_for_timeout(1_000)  # animations
    person.page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path}: {size} bytes")
    assert size < LARGEST, f"{path} is too large to keep"


if __name__ == "__main__":
    main()
