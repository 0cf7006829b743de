"""Keeps an index up to date with folders: one build after another, for as long as the process runs.

Every round is an ordinary incremental build, so a reader never waits and a killed process costs at most one round. What a
round cannot do it says, and the live generation goes on answering.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from quarry.app.calibrating import calibrate_built
from quarry.app.documents.skips import remember_skips
from quarry.app.watched import WatchNote
from quarry.app.wiring import ChosenModel, live_manifest
from quarry.app.words import message_of
from quarry.indexer.build import BuildReport, build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.progress import Observer
from quarry.indexer.corpus.listing import Skipped, printable
from quarry.indexer.corpus.snapshot import FolderState, Signature, moved
from quarry.indexer.corpus.watcher import FolderWatch, Rest
from quarry.indexer.errors import IndexBusyError, IndexMismatchError, SearchError
from quarry.indexer.messages import Message
from quarry.indexer.storage.generations import Generations
from quarry.indexer.stores.parts import texts_at

_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 60.0
_FOREVER_S = 3600.0
_TRANSIENT = ("unreadable", "time limit", "memory limit", "being written", "duplicate id")  # skips worth another try
_FAILURES = (SearchError, OSError, sqlite3.Error, MemoryError, RuntimeError, ValueError)


class Stopped(Exception):
    """A stop was requested during a round; what it encoded is kept."""


class Voice(Observer, Protocol):
    """Receives what happens and, as an `Observer`, the progress of a build."""

    def round(self, report: BuildReport, model: str) -> None:
        """Report a build, or that nothing changed; `model` is the embedder's name, empty for none."""
        ...

    def failure(self, error: Message, retry_s: float) -> None:
        """Report a failed build, once per error; it is retried after `retry_s` seconds or when the folders change."""
        ...

    def remark(self, message: Message) -> None:
        """Report something the user should know."""
        ...


class Keeper:
    """Builds whenever the folders have changed and settled."""

    def __init__(
        self,
        index: Path,
        watch: FolderWatch,
        loaded: ChosenModel,
        settings: BuildOptions,
        *,
        voice: Voice,
        stop: threading.Event,
        reload: Callable[[], ChosenModel],
    ) -> None:
        """Prepare; `run` does the work.

        Args:
            index: The index folder.
            watch: Watches the folders.
            loaded: The model for the first build.
            settings: Settings for every build; `rebuild` applies to the first one only.
            voice: Receives the report of each round.
            stop: Set to stop.
            reload: Loads the live generation's model when it differs from the loaded one.
        """
        self._index, self._watch, self._loaded, self._settings = index, watch, loaded, settings
        self._voice, self._observer, self._stop, self._reload = voice, _Stoppable(voice, stop), stop, reload
        self._first = True
        self._taken: Rest | None = None  # what the last build was made of
        self._skips: dict[Path, tuple[Signature, Skipped]] = {}
        self._absent: tuple[Message, ...] = ()
        self._error: Message | None = None
        self._note: WatchNote | None = None  # from the first build on, when there is an index

    def run(self) -> None:
        """Keep the index up to date until `stop` is set.

        Raises:
            SearchError: If the first build can never succeed because the index has another model or format.
            ValueError: If the settings are wrong.
        """
        retry_s = 0.0
        try:
            while not self._stop.is_set():
                rest = self._watch.rest()
                if self._stop.is_set():
                    return
                retry_s = self._attempt(rest, retry_s) if self._is_due(rest) else 0.0
                self._watch.changed(rest, retry_s or _FOREVER_S)
        except Stopped:
            return
        finally:
            self._watch.close()
            if self._note is not None:
                self._note.close()

    def _is_due(self, rest: Rest) -> bool:
        """Whether anything but files still being written differs from the last build."""
        if self._taken is None:
            return True
        places = [root.place for root in rest.state.roots.values()]
        before = [root.place for root in self._taken.state.roots.values()]
        return (
            places != before
            or bool(moved(self._taken.state, rest.state) - rest.moving)
            or bool(self._taken.moving - rest.moving)
        )

    def _attempt(self, rest: Rest, retry_s: float) -> float:
        """Build once; return the seconds until the next attempt, 0 on success."""
        try:
            done = self._build(rest)
        except IndexBusyError as err:
            return self._failed(err, _FIRST_RETRY_S)
        except IndexMismatchError as err:
            if self._first:
                raise
            return self._failed(err, _FIRST_RETRY_S)  # promoted meanwhile; the next round loads it
        except _FAILURES as err:
            if self._first and isinstance(err, ValueError):
                raise
            return self._failed(err, min(_LAST_RETRY_S, 2 * retry_s or _FIRST_RETRY_S))
        self._error = None
        if done:
            self._first, self._taken = False, rest
        return 0.0

    def _failed(self, err: Exception, retry_s: float) -> float:
        said = message_of(err)
        if said != self._error:
            self._voice.failure(said, retry_s)
            self._error = said
        return retry_s

    def _build(self, rest: Rest) -> bool:
        """Build from the files present; return False when there are none."""
        roots = self._usable(rest.state)
        if not roots:
            return False
        if not self._first:
            self._follow_model()
        settings = replace(
            self._settings,
            rebuild=self._settings.rebuild and self._first,
            model_folder=self._loaded.folder,
            notes=self._loaded.notes,
            leave=self._leave(rest),
        )
        report = build_index(self._index, roots, self._loaded.embedder, settings, self._observer)
        calibrate_built(self._index, self._loaded.embedder)
        remember_skips(self._index, roots, report.skipped)
        files = {printable(path): (path, signature) for path, signature in rest.state.files.items()}
        self._skips = {
            files[skip.source][0]: (files[skip.source][1], skip)
            for skip in report.skipped
            if skip.source in files and skip.reason not in _TRANSIENT
        }
        self._note = self._note or WatchNote(self._index, list(rest.state.roots))
        self._note.built(report.generation)
        spec = self._loaded.embedder.spec if self._loaded.embedder else None
        self._voice.round(report, spec.model if spec else "")
        return True

    def _leave(self, rest: Rest) -> dict[str, Skipped]:
        """Return the files not to open: those being written, and those skipped before and unchanged since."""
        now = rest.state.files
        leave = {printable(path): skip for path, (seen, skip) in self._skips.items() if now.get(path) == seen}
        for path in rest.moving & now.keys():
            name = printable(path)
            changing = Message.of(
                "app.still_changing", "it is still changing", do="It is read when it has come to rest"
            )
            leave[name] = Skipped(name, "being written", changing)
        return leave

    def _usable(self, state: FolderState) -> Sequence[Path]:
        """Return the roots to build from; one that vanished or lost all of its files at once keeps its documents."""
        known = self._files_known() if any(not root.files for root in state.roots.values()) else {}
        absent: list[Message] = []
        roots: list[Path] = []
        for path, root in state.roots.items():
            count = known.get(str(path), 0)
            if root.place is None:
                absent.append(_gone(path, count))
            elif not root.files and count and not self._settings.allow_empty:
                absent.append(_emptied(path, count))
            elif not root.files and not known and not self._settings.allow_empty:
                absent.append(
                    Message.of("app.no_files_yet", "{path} has no files yet; waiting for some", path=str(path))
                )
            else:
                roots.append(path)
        for message in absent:
            if message not in self._absent:
                self._voice.remark(message)
        self._absent = tuple(absent)
        return roots

    def _files_known(self) -> dict[str, int]:
        """Return the number of files per root in the live generation."""
        generations = Generations(self._index)
        if not generations.exists():
            return {}
        table = texts_at(generations.live())
        try:
            return {path: len(table.files_of(prefix)) for prefix, path in table.roots().items()}
        finally:
            table.close()

    def _follow_model(self) -> None:
        """Load the live generation's model if another one has been promoted."""
        manifest = live_manifest(self._index)
        if manifest is None:
            return
        theirs = manifest.embedder.fingerprint if manifest.embedder else None
        mine = self._loaded.embedder.spec.fingerprint if self._loaded.embedder else None
        if theirs == mine:
            return
        self._loaded = ChosenModel(None, "", ())  # two models at once may not fit
        self._loaded = self._reload()
        spec = self._loaded.embedder.spec if self._loaded.embedder else None
        if spec is None:
            self._voice.remark(
                Message.of(
                    "app.other_model_none", "the live generation has no model any more; continuing with BM25 only"
                )
            )
            return
        self._voice.remark(
            Message.of(
                "app.other_model", "the live generation has another model; continuing with {model}", model=spec.model
            )
        )


def _gone(path: Path, count: int) -> Message:
    if not count:
        return Message.of("app.folder_awaited", "{path} is not there; waiting for it", path=str(path))
    return Message.of(
        "app.folder_gone",
        "{path} is not there; its {count:file stays|files stay} in the index until it is back",
        path=str(path),
        count=count,
    )


def _emptied(path: Path, count: int) -> Message:
    return Message.of(
        "app.folder_emptied",
        "{path} is empty now (is a drive not mounted?); its {count:file stays|files stay} in the index",
        do="Restore the files, or give --allow-empty",
        path=str(path),
        count=count,
    )


class _Stoppable:
    """An observer that aborts the build at the next progress event after a stop request."""

    def __init__(self, inner: Observer, stop: threading.Event) -> None:
        self._inner, self._stop = inner, stop

    def phase(self, name: str, total: int | None) -> None:
        self._check()
        self._inner.phase(name, total)

    def advance(self, amount: int) -> None:
        self._check()
        self._inner.advance(amount)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped
