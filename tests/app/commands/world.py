"""Where the commands of docs/commands.md run: a home with a few documents, and what their placeholders stand for."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quarry.app.documents.catalog import show_document
from quarry.demo_corpus import documents_path
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from tests import ROOT
from tests.app.running import Done, quarry
from tests.retriever.benchmark import native_data
from tests.training.tiny_model import tiny_model
from tests.training.tuning.second_stage.test_subject import documents, english

CACHE = Path.home() / ".cache" / "quarry"
SLICE = ("en/rhine-1.html", "en/steam-engine-2.docx", "zh/黑死病-1.jsonl")
LOANS = """---
title: Loans
date: 2024-05-01
---
# Loans

Borrow ten books for thirty days. Renew a book twice online, or once at the desk. DVDs are lent for seven days.

# Pump room

The spare line of the pump is beside the drain valve. Close the drain valve before the pump starts.
"""
RENEWING = "# 借书\n\n每位读者可以借十本书，可以在网上续借两次。\n"
JUDGED = {
    "How often can a book be renewed?": "documents/loans.md",
    "Where is the spare line of the pump?": "documents/loans.md",
    "可以续借几次？": "documents/借书.md",
    "How long are DVDs lent?": "documents/loans.md",
    **{f"May member {number} renew a book online, and how often?": "documents/loans.md" for number in range(18)},
}
_LIKENESS = [
    ("一个人在跳舞", "有人正在跳舞", 4.8),
    ("A man is eating", "A man eats food", 4.5),
    ("猫在睡觉", "飞机起飞了", 0.2),
    ("The dog runs", "Stocks fell today", 0.1),
    ("孩子们在踢球", "几个孩子在玩球", 3.9),
    ("She reads", "A ship sinks", 0.3),
]


@dataclass
class World:
    """The folder that is the working directory, with the home below it."""

    folder: Path
    names: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """No model hub, one thread, and the offline model where it is unpacked already."""
        return {
            "HOME": str(self.home),
            "QUARRY_CACHE": os.environ.get("QUARRY_CACHE") or str(CACHE),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "BROWSER": "true",
            "QUARRY_LLM_API_KEY": "none",
        }

    def run(self, line: str) -> Done:
        """Run a line in this process, as a shell would: its quotes, `~` and `>>`."""
        words = [os.path.expanduser(word) for word in shlex.split(line)]
        if ">>" not in words:
            return quarry(*words[1:])
        *words, _, target = words
        done = quarry(*words[1:])
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(done.stdout)
        return done

    def start(self, line: str, *, answer: str = "") -> "subprocess.Popen[str]":
        """Start a line that runs until Ctrl-C, with what it reads; output goes to files, so that it is never blocked."""
        (self.folder / "input").write_text(answer, encoding="utf-8")
        words = [os.path.expanduser(word) for word in shlex.split(line)]
        with (self.folder / "input").open() as given, self.said.open("w") as said, self.remarked.open("w") as remarked:
            return subprocess.Popen(
                [sys.executable, "-m", *words],
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                stdin=given,
                stdout=said,
                stderr=remarked,
                text=True,
                start_new_session=True,
            )

    @property
    def said(self) -> Path:
        """What the last line that was started printed on stdout."""
        return self.folder / "said"

    @property
    def remarked(self) -> Path:
        """What it printed on stderr."""
        return self.folder / "remarked"

    def until(self, condition: Callable[[], object], process: "subprocess.Popen[str]", seconds: float = 120) -> None:
        """Wait for something that a running line does."""
        end = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, self.remarked.read_text(encoding="utf-8")
            assert time.monotonic() < end, self.remarked.read_text(encoding="utf-8")
            time.sleep(0.1)


def make_world(folder: Path) -> World:
    """Write the documents, the data sets and a tiny model."""
    world = World(folder)
    for name in SLICE:
        (world.home / "documents").mkdir(parents=True, exist_ok=True)
        shutil.copy(documents_path() / name, world.home / "documents")
    (world.home / "documents" / "loans.md").write_text(LOANS, encoding="utf-8")
    (world.home / "documents" / "借书.md").write_text(RENEWING, encoding="utf-8")
    for name, text in {
        "home/old/a.md": "# Old notes\n\nThe reading room was painted green.",
        "handbook-files/pumps.md": LOANS,
        "mails-files/valve.md": "# Re: valve\n\nThe drain valve leaks again, says Ann.",
        "wiki-files/valves.md": "# Valves\n\nA drain valve lets the water out of a pipe.",
        "answer.md": "# Plants\n\nAnn waters the plants on Mondays.",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    tiny_model(folder / "base")
    # a tiny model where a line names none: `quarry demo` alone loads the offline one
    (folder / "quarry.toml").write_text('[index]\nmodel = "base"\n[encode]\nmodel = "base"\n', encoding="utf-8")
    for copy in native_data.write_everything(folder / "copies").iterdir():
        if not copy.name.startswith(("MedicalRetrieval", "OCNLI")):  # two tasks are enough
            shutil.rmtree(copy)
    _data_sets(folder / "sets")
    world.names = {
        "DATASET": "sets/loans",
        "FOLDER": "sets",
        "RESULTS": "results",
        "OTHER": "searched",
        "COPIES": "copies",
        "MODEL": "base",
        "ID": "documents/loans.md",
        "INDEX": "my-index",
    }
    return world


def _data_sets(folder: Path) -> None:
    """One of pairs of sentences, and one of judged questions about the documents."""
    loans = folder / "loans"
    (loans / "qrels").mkdir(parents=True)
    texts = {"documents/loans.md": LOANS, "documents/借书.md": RENEWING}
    _jsonl(loans / "corpus.jsonl", [{"_id": name, "title": "", "text": text} for name, text in texts.items()])
    _jsonl(loans / "queries.jsonl", [{"_id": f"q{n}", "text": text} for n, text in enumerate(JUDGED)])
    judged = "".join(f"q{n}\t{name}\t1\n" for n, name in enumerate(JUDGED.values()))
    (loans / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
    (folder / "likeness").mkdir()
    rows = [{"sentence1": a, "sentence2": b, "score": score} for a, b, score in _LIKENESS]
    _jsonl(folder / "likeness" / "test.jsonl", rows)


def _jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def judge(world: World) -> None:
    """Two visitors who found what they looked for, and one question that nobody could answer."""
    index = world.folder / "my-index"
    passages = {name: show_document(index, name).passages[0].id for name in set(JUDGED.values())}
    with FeedbackLog.open(feedback_path(index)) as log:
        for at, voter in _visits(len(JUDGED)):
            question, document = list(JUDGED.items())[at.minute]
            log.append(FeedbackEvent(question, "thumb_up", voter, "000001", passages[document], document, at=at))
        for at, voter in _visits(1):
            unanswered = FeedbackEvent(
                "who waters the plants?",
                "thumb_down",
                voter,
                "000001",
                passages["documents/loans.md"],
                "documents/loans.md",
            )
            log.append(replace(unanswered, at=at + timedelta(hours=2)))


def learnable(world: World) -> None:
    """Replace the index by one of a tiny model with token states, the judgements of 50 questions, and pairs to learn from."""
    index = world.folder / "my-index"
    shutil.rmtree(index)
    source = resolve_model(str(world.folder / "base"))
    embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
    settings = BuildOptions(model_folder=str(world.folder / "base"), rerank_vectors=True)
    index_documents(index, documents(), embedder, settings)
    rows = english()
    with FeedbackLog.open(feedback_path(index)) as log:
        for at, voter in _visits(50):
            row, place = rows[at.minute], at.minute
            chunk = f"d{place}#0-{len(row.pos[0])}"
            log.append(FeedbackEvent(row.query, "answer", voter, "000001", chunk, f"d{place}", at=at))
    lines = "".join(f"{row.query},{row.pos[0]}\n" for row in rows)
    (world.folder / "pairs.csv").write_text(f"anchor,positive\n{lines}", encoding="utf-8")


def _visits(count: int) -> Iterator[tuple[datetime, str]]:
    """Yield a minute of its own for each of some judgements of two visitors, who come on two days."""
    for day, voter in enumerate(("ann", "ben"), start=1):
        yield from ((datetime(2026, 1, day, 9, minute, tzinfo=UTC), voter) for minute in range(count))
