"""`quarry index --watch`: output and shutdown."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType

from quarry.app.cli.console import ProgressBar, fields, note, out, out_json
from quarry.app.cli.exits import usage_errors
from quarry.app.keeping import Keeper
from quarry.app.wiring import ChosenModel
from quarry.indexer.build import BuildReport
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.removal import list_roots
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.places import path_in_index
from quarry.indexer.corpus.watcher import FolderWatch, WatchOptions
from quarry.indexer.messages import Message
from quarry.indexer.storage.generations import Generations

_SHOWN_SKIPS = 3


def stop_by_signals() -> threading.Event:
    """Return an event that Ctrl-C or SIGTERM sets; a second signal ends the process at once."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, ask)
    return stop


def keep_in_step(
    index: Path,
    paths: Sequence[Path],
    load: Callable[[bool], ChosenModel],
    settings: BuildOptions,
    *,
    poll_s: float | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Build whenever the folders change, until Ctrl-C or SIGTERM.

    Args:
        index: The index folder.
        paths: Files and folders; they may appear later.
        load: Loads the model: the one the user chose (True), or the live generation's (False).
        settings: Settings for every build.
        poll_s: Polling interval in seconds; None listens for file-system events.
        as_json: Print one JSON object per round instead of a line of text.
        quiet: Show no progress bar.
    """
    stop = stop_by_signals()
    voice = _Voice(ProgressBar(quiet=quiet), as_json=as_json)
    roots = list(dict.fromkeys(path_in_index(path, _known_paths(index)) for path in paths))
    loaded = load(True)
    with usage_errors():
        settings_of_watch = WatchOptions(poll_s=poll_s)
    watch = FolderWatch(roots, stop, settings_of_watch, voice.remark)
    keeper = Keeper(index, watch, loaded, settings, voice=voice, stop=stop, reload=lambda: load(False))
    voice.remark(
        Message.of("cli.watching", "watching {folders}; press Ctrl-C to stop", folders=[str(root) for root in roots])
    )
    try:
        keeper.run()
    finally:
        voice.close()
    voice.remark(Message.of("cli.stopped", "stopped; the index stays usable, and the same command resumes from here"))


def _known_paths(index: Path) -> list[str]:
    generations = Generations(index)
    return [root.path for root in list_roots(index)] if generations.exists() else []


class _Voice:
    """Prints rounds to stdout and notes to stderr, flushed at once for readers of a pipe."""

    def __init__(self, bar: ProgressBar, *, as_json: bool) -> None:
        self._as_json = as_json
        self.phase, self.advance, self.close = bar.phase, bar.advance, bar.close
        self._rounds = 0
        self._skipped: frozenset[Skipped] = frozenset()

    def round(self, report: BuildReport, model: str) -> None:
        self.close()
        self._rounds += 1
        if self._as_json:
            out_json({"round": self._rounds, "at": _now(), **fields(report), "model": model})
        else:
            seconds = sum(report.seconds.values())
            skipped = f"; {len(report.skipped)} skipped" if report.skipped else ""
            out(
                f"{_now()} generation {report.generation}: {report.added} added, {report.changed} changed, "
                f"{report.removed} removed, {report.unchanged} unchanged{skipped}; {report.encoded} passages encoded; {seconds:.1f} s"
            )
            self._print_skips(report)
        sys.stdout.flush()

    def _print_skips(self, report: BuildReport) -> None:
        new = [skip for skip in report.skipped if skip not in self._skipped]
        self._skipped = frozenset(report.skipped)
        for skip in new[:_SHOWN_SKIPS]:
            note(f"  {skip.source}: {skip.reason}: {skip.detail}")
        if len(new) > _SHOWN_SKIPS:
            note(f"  ... and {len(new) - _SHOWN_SKIPS} more (--json lists all)")

    def failure(self, error: Message, retry_s: float) -> None:
        if self._as_json:
            self._rounds += 1
            out_json({"round": self._rounds, "at": _now(), "error": error, "retry_s": retry_s})
            sys.stdout.flush()
        else:
            self.remark(
                Message.of(
                    "cli.build_failed",
                    "build failed, index unchanged: {error}; retrying in {seconds:g} s",
                    error=error,
                    seconds=retry_s,
                )
            )

    def remark(self, message: Message) -> None:
        note(f"{_now()} {message}")
        sys.stderr.flush()


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
