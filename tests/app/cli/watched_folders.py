"""What the tests of watching share: folders that change by chance, a keeper in a thread, and two indexes compared."""

import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from quarry.app.keeping import Keeper
from quarry.app.wiring import ChosenModel
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.corpus.watcher import FolderWatch, WatchOptions
from quarry.indexer.opened import Index
from quarry.retriever.models.lazy import LazyEmbedder, LazyReranker
from quarry.retriever.searcher import Searcher

QUICK = WatchOptions(quiet_s=0.15, patience_s=5.0, sweep_s=2.0, absent_s=0.1)
SETTINGS = BuildOptions(analyzer="bigram")
WORDS = ["zebra", "library", "renew", "loan", "图书", "续借", "斑马", "开放", "时间", "history", "历史"]
QUERIES = ["zebra library", "续借图书", "history 历史", "开放时间", "renew a loan"]


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


class Heard:
    """A Voice that keeps what it is told."""

    def __init__(self) -> None:
        self.rounds, self.failures, self.remarks = [], [], []

    def round(self, report, model):
        self.rounds.append((report, model))

    def failure(self, error, retry_s):
        self.failures.append((str(error), retry_s))

    def remark(self, sentence):
        self.remarks.append(str(sentence))

    def phase(self, name, total):
        pass

    def advance(self, amount):
        pass


@contextmanager
def kept(index: Path, *roots: Path, embedder=None, settings=SETTINGS, watching=QUICK, reload=None) -> Iterator[Heard]:
    """Keep an index in step, in a thread."""
    stop, heard, errors = threading.Event(), Heard(), []
    keeper = Keeper(
        index,
        FolderWatch(roots, stop, watching, heard.remark),
        ChosenModel(embedder, "", ()),
        settings,
        voice=heard,
        stop=stop,
        reload=reload or (lambda: ChosenModel(embedder, "", ())),
    )

    def run():
        try:
            keeper.run()
        except BaseException as err:  # noqa: BLE001 (told to the test)
            errors.append(err)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        if errors:
            raise errors[0]


def content(index: Path, embedder=None) -> list[object]:
    """Everything that an index can answer with."""
    opened = Index.open(index)
    searcher = Searcher(opened, LazyEmbedder(opened, embedder, "cpu"), LazyReranker("none", "cpu"))
    hits = [
        [(hit.chunk_id, round(hit.score, 5)) for hit in searcher.search(query, 10).results]
        if opened.manifest.chunks
        else []
        for query in QUERIES
    ]
    documents = [
        (document.doc_id, document.title, document.text, document.meta) for document in opened.chunks.documents()
    ]
    return [documents, opened.chunks.digests(), opened.vectors and sorted(opened.vectors.ids), hits]


def assert_like_built_from_nothing(index: Path, fresh: Path, *roots: Path, embedder=None) -> None:
    shutil.rmtree(fresh, ignore_errors=True)
    build_index(fresh, roots, embedder, SETTINGS)
    watched = content(index, embedder)
    assert watched[0], "the comparison would be about nothing"
    for ours, theirs in zip(watched, content(fresh, embedder), strict=True):
        assert ours == theirs


class Editor:
    """Changes a folder by chance: writes, appends, saves by renaming, moves, deletes, makes and removes folders."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self._rng, self._number = folder, random.Random(seed), 0

    def text(self) -> str:
        self._number += 1
        words = " ".join(self._rng.choices(WORDS, k=self._rng.randint(3, 30)))
        return f"# 第{self._number}版 edition {self._number}\n\n{words}\n"

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith("."))

    def new_path(self) -> Path:
        folder = self.folder / self._rng.choice([".", "sub", "子目录", "sub/deep"])
        folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        return folder / f"{self._rng.choice(['note', '笔记'])}{self._number}.{self._rng.choice(['md', 'txt'])}"

    def once(self) -> None:
        files = self.files()
        kinds = ["new", "new", "change", "append", "save", "rename", "delete", "swap", "folder", "noise"]
        kind = self._rng.choice(kinds) if len(files) > 3 else "new"
        path = self._rng.choice(files) if files else None
        if kind == "new":
            self.new_path().write_text(self.text(), encoding="utf-8")
        elif kind == "change":
            path.write_text(self.text(), encoding="utf-8")
        elif kind == "append":
            with path.open("a", encoding="utf-8") as file:
                file.write(self.text())
        elif kind == "save":  # as editors do
            draft = path.with_name(f".{path.name}.swp")
            draft.write_text(self.text(), encoding="utf-8")
            os.replace(draft, path)
        elif kind == "rename":
            path.rename(self.new_path())
        elif kind == "delete":
            path.unlink()
        elif kind == "swap":
            other = self._rng.choice(files)
            spare = path.with_name(".spare")
            path.rename(spare)
            if other != path:
                other.rename(path)
            spare.rename(other)
        elif kind == "folder":
            target = self.folder / f"folder{self._number}"
            if (self.folder / "sub").is_dir() and self._rng.random() < 0.5:
                (self.folder / "sub").rename(target)
            else:
                shutil.rmtree(self.folder / "子目录", ignore_errors=True)
        else:
            (self.folder / ".hidden.md").write_text(self.text(), encoding="utf-8")
            (self.folder / "~$lock.docx").write_bytes(b"x")


def run_command(arguments: list[str], errors: str) -> None:
    """Be the command, in a process of its own."""
    from quarry.app.cli import main

    sys.argv = ["quarry", *arguments]
    sys.stderr = open(errors, "a", encoding="utf-8")
    sys.stdout = open(f"{errors}.out", "a", encoding="utf-8")
    main()
