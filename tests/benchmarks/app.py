"""Time from click to results in the app, and its memory: `python -m tests.benchmarks.app [--index INDEX] [--searches N]`.

A real `quarry ui` process on the demo corpus (offline model, CPU) and a real headless chromium. A question is put into the
field, Enter is pressed, and the clock stops when the results of that question are on the page; questions of the demo corpus in
turn, English and Chinese. Once without a reranker, once with a small random cross-encoder that reads 50 candidates: no released
reranker can be had offline, and what a reranker costs does not depend on its weights. Memory is the resident set of the server
(VmRSS) after 10 searches and at the end.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import Browser

from tests.app.ui.browser import Visitor, chromium, served, visitor
from tests.benchmarks.rerank import make as make_reranker
from tests.benchmarks.screenshots import demo_index

K = 10
_SHOWN = """([question, before]) => {
    const app = document.querySelector('[data-testid=stApp]');
    const first = document.querySelector('.q-times');
    return app.dataset.testScriptState === 'notRunning' && first && first.innerText !== before
        && new URL(location).searchParams.get('q') === question;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--index", type=Path)
    parser.add_argument("--searches", type=int, default=200)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="quarry-app-") as folder, chromium() as browser:
        index = arguments.index or demo_index(Path(folder) / "index")
        make_reranker(Path(folder) / "reranker")
        for name, rerank in (("hybrid", "none"), ("hybrid + reranking", str(Path(folder) / "reranker"))):
            with served(index, "--rerank", rerank, "--device", "cpu") as url:
                report(name, browser, url, arguments.searches)


def report(name: str, browser: Browser, url: str, searches: int) -> None:
    process = listening(urlsplit(url).port)
    with visitor(browser, url) as person:
        person.go(f"/?k={K}")
        person.ask("warm up 预热")
        seconds = [timed(person, question) for question in questions(10)]
        early = resident(process)
        seconds += [timed(person, question) for question in questions(searches)[10:]]
        late = resident(process)
        assert person.troubles == [], person.troubles
    p50, p95 = (float(np.percentile(seconds, share)) * 1000 for share in (50, 95))
    print(
        f"{name}: {len(seconds)} searches, click to results p50 {p50:.0f} ms, p95 {p95:.0f} ms; "
        f"memory after 10 {early:.0f} MB, after {len(seconds)} {late:.0f} MB ({late - early:+.0f})",
        flush=True,
    )


def timed(person: Visitor, question: str) -> float:
    """Return the seconds from Enter to the results of this question."""
    times = person.page.locator(".q-times")
    before = times.first.inner_text() if times.count() else ""
    field = person.page.locator("input[type=search]")
    field.fill(question)
    started = perf_counter()
    field.press("Enter")
    person.page.wait_for_function(_SHOWN, arg=[question, before], polling=10)
    return perf_counter() - started


def questions(count: int) -> list[str]:
    """Return so many different questions, those of the demo corpus with a number at the end where they begin again."""
    from quarry.demo_corpus import queries_path

    texts = [json.loads(line)["text"] for line in queries_path().read_text(encoding="utf-8").splitlines()]
    return [
        texts[number % len(texts)] + (f" {number // len(texts)}" if number >= len(texts) else "")
        for number in range(count)
    ]


def listening(port: int | None) -> Path:
    """Return the /proc folder of the process that serves the port on loopback."""
    wanted = f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(wanted) and row[3] == "0A"}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in sockets for link in (folder / "fd").iterdir()):
                return folder
        except OSError:
            continue
    raise SystemExit(f"no process listens on port {port}; expected the app")


def resident(process: Path) -> float:
    """Return the resident memory in MB."""
    (line,) = [line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1000


if __name__ == "__main__":
    main()
