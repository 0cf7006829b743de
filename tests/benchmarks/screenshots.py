"""Make the pictures of docs/: the search page in both languages, an explanation, and a degraded answer, 1280 x 900; training, higher.

    python -m tests.benchmarks.screenshots [--index INDEX] [--tuned INDEX] [--out docs]

Without --index the demo corpus is indexed first. --tuned is an index with a promoted run (`quarry tune`, `tests.benchmarks.tuning`);
then only training is pictured. Look at every picture before keeping it.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser

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
            with served(arguments.tuned, "--rerank", "none") as url:
                training(browser, url, arguments.out)
            return
        index = arguments.index or demo_index(Path(folder) / "index")
        with served(index) as url:
            whole(browser, url, arguments.out)
        with served(without_its_model(index, Path(folder) / "moved")) as url:
            degraded(browser, url, arguments.out)


def demo_index(folder: Path) -> Path:
    """Index the demo corpus with the model that `quarry demo` would take."""
    from quarry.app.wiring import choose_model
    from quarry.demo_corpus import documents_path
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
