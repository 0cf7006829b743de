"""The real app under a real browser: a server process on a free port, and Debian's chromium in front of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.app.server.serving import limit_files

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT = 90_000  # milliseconds; the machine may be busy with other work
_SETTLED = """() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid=stSkeleton]')"""


def wait_until_drawn(page: Page) -> None:
    """Wait until the app has drawn everything; a click before that may be lost."""
    page.wait_for_timeout(400)
    page.wait_for_function(_SETTLED)
    page.wait_for_timeout(200)


@contextmanager
def served(
    index: Path | None, *options: str, cwd: Path | None = None, files: int = 0, **environment: str
) -> Iterator[str]:
    """Run `quarry ui` on an index or a folder, or on nothing, in a folder; gives its address, and leaves no process behind."""
    path = [] if index is None else [str(index)]
    command = [sys.executable, "-m", "quarry.app.cli", "ui", *path, "--port", "0", "--no-browser", *options]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "QUARRY_UI_PASSWORD": "", **environment}
    server = subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        if files:
            limit_files(server, files)
        url = server.stdout.readline().split()[3]
        wait_until_served(url, server)
        yield url
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    finally:
        with pytest.raises(ProcessLookupError):  # nothing of its group is left but what this call ends
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(30)
            os.killpg(server.pid, 0)
        server.stdout.close()


def wait_until_served(url: str, server: "subprocess.Popen[str]") -> None:
    """Wait until the server of an address answers."""
    until = monotonic() + WAIT / 1000
    while monotonic() < until:
        assert server.poll() is None, "the server ended by itself"
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5):
                return
        except OSError:
            sleep(0.2)
    pytest.fail("the server does not answer")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """A page with what went wrong on it: dialogs, errors on the console, and requests to elsewhere."""

    page: Page
    url: str
    troubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(WAIT)
        self.page.on("dialog", lambda dialog: (self.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("request", lambda request: self._asked(request.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind == "error":
            self.troubles.append(f"console: {text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.troubles.append(f"request to elsewhere: {url}")

    def settle(self) -> None:
        """Wait until the app has drawn everything."""
        wait_until_drawn(self.page)

    def close_dialog(self) -> None:
        """Press Escape, and wait until the dialog has given the keyboard back."""
        self.page.keyboard.press("Escape")
        self.page.get_by_role("dialog").wait_for(state="detached")
        self.settle()

    def go(self, path: str = "/") -> None:
        """Open an address of the app."""
        self.page.goto(f"{self.url}{path}")
        self.settle()

    def ask(self, question: str) -> None:
        """Type a question and press Enter."""
        field = self.page.locator("input[type=search]")
        field.fill(question)
        field.press("Enter")
        self.settle()

    def click(self, text: str, *, nth: int = 0) -> None:
        """Press the button with this text."""
        self.page.get_by_role("button", name=text).nth(nth).click()
        self.settle()

    def hits(self) -> list[str]:
        """Return the titles of the results."""
        return self.page.locator(".q-hit .q-title b").all_inner_texts()


@contextmanager
def visitor(
    browser: Browser, url: str, *, locale: str = "en-US", width: int = 1280, height: int = 900
) -> Iterator[Visitor]:
    """Open a window of its own."""
    page = browser.new_page(viewport={"width": width, "height": height}, locale=locale)
    try:
        yield Visitor(page, url)
    finally:
        page.close()


def without_its_model(index: Path, folder: Path) -> Path:
    """Return a copy of an index whose model is not on this machine, as after a move to another one."""
    shutil.copytree(index, folder)
    manifest = max(folder.glob("generations/*/manifest.json"))
    facts = json.loads(manifest.read_text())
    facts.pop("checksum", None)
    facts["embedder"]["folder"] = ""
    facts["embedder"]["spec"]["model"] = "BAAI/bge-m3"
    manifest.write_text(json.dumps(facts))
    return folder
