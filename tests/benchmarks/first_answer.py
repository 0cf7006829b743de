"""Time from `pip install` to the first answer in the browser: `python -m tests.benchmarks.first_answer [FOLDER]`.

Does what a person does who has a checkout, Python and a folder of documents (here a copy of the demo corpus): makes a virtual
environment, installs the wheel of this checkout with the offline model and everything that it needs, runs `quarry ui FOLDER`,
and types a question into the page. Nothing of the environment that runs this is used but chromium. Prints the seconds of each
step, and those of the processor, which a busy machine does not stretch; how long the installation takes depends on the network and on what
pip has in its cache.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from quarry.demo_corpus import documents_path
from tests import ROOT
from tests.app.ui.browser import chromium, visitor, wait_until_served
from tests.benchmarks.screenshots import ENGLISH

EXTRAS = "offline"


class Steps:
    """The seconds of each step, on the clock and of the processor, printed as they end."""

    def __init__(self) -> None:
        self._begun = self._last = perf_counter()
        self._worked = processor_seconds(0)

    def done(self, name: str, server: int = 0) -> None:
        """Print a step; `server` is the process that did it, where it still runs."""
        now, worked = perf_counter(), processor_seconds(server)
        print(
            f"{name:<56}{now - self._last:7.1f} s {worked - self._worked:7.1f} s of the processor "
            f"{now - self._begun:7.1f} s in all",
            flush=True,
        )
        self._last, self._worked = now, worked


def processor_seconds(server: int) -> float:
    """Return what the ended children of this process took, and a running one with the children that it waited for."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = 0
    if server:
        fields = Path(f"/proc/{server}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        running = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ended.ru_utime + ended.ru_stime + running / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", help="documents; the demo corpus without it")
    parser.add_argument("--question", default=ENGLISH)
    parser.add_argument("--environment", type=Path, help="one with Quarry in it: leaves out the installation")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="quarry-first-") as name:
        work = Path(name)
        documents = Path(shutil.copytree(arguments.folder or documents_path(), work / "documents"))
        place = arguments.environment.resolve() if arguments.environment else work / "venv"
        wheel = None if arguments.environment else built(work / "wheel")
        steps = Steps()
        if wheel:
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            steps.done("python -m venv")
            install(wheel, place / "bin" / "pip", work)
            steps.done(f"pip install quarry-search[{EXTRAS}]")
        environment = {"HOME": str(work), "PATH": os.environ["PATH"], "BROWSER": "true"}  # nothing unpacked yet
        environment |= {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
        server = subprocess.Popen(
            [place / "bin" / "quarry", "ui", documents, "--port", "0"],
            cwd=work,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            url = server.stdout.readline().split()[3]
            wait_until_served(url, server)
            steps.done("quarry ui FOLDER, until it answers", server.pid)
            with (
                chromium() as browser,
                visitor(browser, url) as person,
            ):  # not before: one that waited for the installation hung
                person.page.set_default_timeout(600_000)
                person.page.goto(url)
                person.page.locator("input[type=search]").wait_for()
                person.settle()
                steps.done(f"the page, until {len(list(documents.rglob('*.*')))} documents are indexed", server.pid)
                field = person.page.locator("input[type=search]")
                field.fill(arguments.question)
                field.press("Enter")
                person.page.locator(".q-hit").first.wait_for()
                steps.done("a question, until its first result is on the page", server.pid)
                print(person.hits()[0])
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)


def built(folder: Path) -> Path:
    """Build the wheel of this checkout."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        stdout=sys.stderr,
    )
    (wheel,) = folder.iterdir()
    return wheel


def install(wheel: Path, pip: Path, cwd: Path) -> None:
    """Install the wheel as a user would: with pip, in a folder that is not the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    given = [pip, "install", "--quiet", "--disable-pip-version-check", f"{wheel}[{EXTRAS}]"]
    subprocess.run(given, check=True, cwd=cwd, env=environment)


if __name__ == "__main__":
    main()
