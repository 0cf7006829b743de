"""Faults in the loop, real ones: a second process, another model gone live, numbers that overflow, files that are missing."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import (
    FeedbackError,
    IndexBusyError,
    IndexFormatError,
    IndexMismatchError,
    ModelError,
    TrainingError,
)
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.writer_lock import writer_lock
from quarry.retriever.models.recorded import recorded_embedder
from quarry.training.examples.rows import TrainingRow, read_training_rows, write_training_rows
from quarry.training.fit.spec import TrainSpec
from quarry.training.tuning import loop, tune
from quarry.training.tuning.embedder import subject as embedder
from quarry.training.tuning.history import history
from quarry.training.tuning.plan import TuningSources, Unwatched
from tests.training.tiny_model import tiny_model
from tests.training.tuning.faults import Until, digests
from tests.training.tuning.test_embedder import Told, general, index, model, pairs, plan, rows

__all__ = ["general", "index", "model", "pairs"]
LEARNS_NOTHING = {"spec": TrainSpec(epochs=1, batch_size=16, learning_rate=1e-7), "merge": (1.0,)}


def enough():
    raise KeyboardInterrupt


def data_of(index, plan_, run="r"):
    """The rows that would be trained on."""
    with pytest.raises(KeyboardInterrupt):
        tune(index, plan_, run=run, observer=Until("training on", enough))
    return read_training_rows(index / "tuning" / run / "data" / "train.jsonl")


def test_two_do_not_work_on_one_run(index, general, pairs):
    before = digests(index)
    errors = []

    def second():
        with pytest.raises(
            IndexBusyError,
            match=rf"run r of .* is being worked on by process {os.getpid()} on .*; expected no "
            "other process. Wait for it or stop it, or give another --run NAME",
        ) as caught:
            tune(index, plan(general, pairs), run="r")
        errors.append(caught.value)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(index, plan(general, pairs), run="r", observer=Until("mining", second))
    assert errors
    assert digests(index) == before
    assert len(data_of(index, plan(general, pairs))) > 50  # the lock is free, and the run goes on


HOLD = """
import sys, time
from pathlib import Path
from quarry.training.tuning.run import TuningRun
run = TuningRun.open(Path(sys.argv[1]), "r", {"a": 1})
print(run.name, flush=True)
time.sleep(600)
"""


def test_a_run_is_taken_over_from_a_killed_process(index):
    from quarry.training.tuning.run import TuningRun

    with subprocess.Popen([sys.executable, "-c", HOLD, str(index)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "r\n"
        with pytest.raises(IndexBusyError, match=f"is being worked on by process {child.pid} on "):
            TuningRun.open(index, "r", {"a": 1})
        child.kill()
    TuningRun.open(index, "r", {"a": 1}).close()
    one, other = TuningRun.open(index, None, {}), TuningRun.open(index, None, {})  # within a second
    assert one.name != other.name


def test_a_model_that_was_not_compared_with_what_answers_is_judged_again(index, general, pairs):
    """While the first run is at its verdict a second one is promoted; and then somebody indexes."""

    def other():
        assert tune(index, plan(general, pairs, **LEARNS_NOTHING, force=True), run="second").promoted

    watch = Until("measuring", other)
    report = tune(index, plan(general, pairs), run="first", observer=watch)
    assert any("answers now; the tuned model is compared with it" in sentence for sentence in watch.sentences)
    manifest = Index.open(index).manifest
    assert report.promoted and manifest.lineage.run == "first"
    assert manifest.lineage.before.run == "second"
    second = next(step for step in history(index) if step.lineage and step.lineage.run == "second")
    assert manifest.lineage.parent == second.generation
    assert sorted(path.name for path in (index / "models").iterdir()) == ["first", "second"]
    assert len(Generations(index).finished()) == 3  # the candidate that was judged too late is gone
    with pytest.raises(IndexMismatchError, match="run first is done: its model answers since 2"):
        tune(index, plan(general, pairs), run="first")


def test_it_gives_up_when_what_answers_never_rests(index, general, pairs, monkeypatch):
    def never(*_):
        raise IndexMismatchError("another one")

    monkeypatch.setattr(embedder, "promote", never)
    before = digests(index)
    with pytest.raises(IndexMismatchError, match="another generation went live 3 times .* Resume with --run r"):
        tune(index, plan(general, pairs, **LEARNS_NOTHING, force=True), run="r")
    after = digests(index)
    assert {name: after[name] for name in before} == before
    assert {Path(name).parts[0] for name in after.keys() - before.keys()} == {"embeddings"}  # going on is quick


def test_documents_that_came_meanwhile_are_in_both(index, general, pairs):
    def more():
        facts = Index.open(index).manifest.embedder
        settings = BuildOptions(model_folder=facts.folder)
        index_documents(
            index, [Document("new", "printer 打印机 new")], recorded_embedder(index, facts, "cpu"), settings
        )

    watch = Until("choosing", more)
    report = tune(index, plan(general, pairs, **LEARNS_NOTHING, force=True), run="r", observer=watch)
    assert report.promoted
    opened = Index.open(index)
    assert "new" in {document.doc_id for document in opened.chunks.documents()}
    assert opened.manifest.lineage.parent == "000002"


def test_it_waits_for_who_writes(index, general, pairs, monkeypatch):
    held, told = threading.Event(), Told()

    class Patient(Told):
        def stage(self, message):
            super().stage(message)
            if message.code == "tuning.waiting" and "is being written by process" in str(message):
                held.set()

    def write():
        with writer_lock(index):
            begun.set()
            assert held.wait(60)

    begun, told = threading.Event(), Patient()

    class Begins(Patient):
        def stage(self, message):
            if message.code == "tuning.encoding":
                threading.Thread(target=write).start()
                assert begun.wait(10)
            super().stage(message)

    told = Begins()
    assert not tune(index, plan(general, pairs, **LEARNS_NOTHING), run="r", observer=told).promoted
    assert sum(sentence.startswith("waiting: ") for sentence in told.sentences) == 1
    monkeypatch.setattr("quarry.training.tuning.turn.LONGEST_WAIT", 0.0)
    with writer_lock(index), pytest.raises(IndexBusyError, match="is being written by"):
        tune(index, plan(general, pairs, **LEARNS_NOTHING), run="r")


def test_what_a_killed_run_left_is_removed_by_the_next_and_a_switch_is_not_forgotten(
    index, general, pairs, monkeypatch
):
    class Killed(BaseException):
        pass

    def die(*_arguments, **_options):
        raise Killed

    before = digests(index)
    with monkeypatch.context() as dying:
        dying.setattr(loop, "sweep", lambda *_a, **_k: None)
        with pytest.raises(Killed):
            tune(index, plan(general, pairs, **LEARNS_NOTHING), run="dead", observer=Until("measuring", die))
    assert Generations(index).finished() == ["000001", "000002"]
    with pytest.raises(FeedbackError, match="there are 0 examples"):
        tune(index, plan(general, None, sources=TuningSources()), run="next")
    assert Generations(index).finished() == ["000001"]
    assert {name for name in digests(index) if name.startswith("models/")} == set()
    assert {name: digest for name, digest in digests(index).items() if name in before} == before
    with monkeypatch.context() as dying:
        dying.setattr(loop.TuningRun, "finish", die)
        with pytest.raises(Killed):
            tune(index, plan(general, pairs, **LEARNS_NOTHING, force=True), run="dead")
    assert not (index / "tuning" / "dead" / "report.json").exists()
    with pytest.raises(IndexMismatchError, match=r"run dead is done.*quarry models rollback"):
        tune(index, plan(general, pairs, **LEARNS_NOTHING), run="dead")
    kept = json.loads((index / "tuning" / "dead" / "report.json").read_text(encoding="utf-8"))
    assert (kept["promoted"], kept["forced"], kept["generation"]) == (True, True, Index.open(index).generation)


def test_a_run_of_another_model_does_not_go_on(index, general, pairs):
    data_of(index, plan(general, pairs))
    assert tune(index, plan(general, pairs, **LEARNS_NOTHING, force=True), run="other").promoted
    with pytest.raises(
        IndexMismatchError, match=r"run r tunes tests/tiny-bert \(.*\), and tests/tiny-bert\+tuned-.* answers now"
    ):
        tune(index, plan(general, pairs), run="r")


def test_a_folder_that_is_no_index_is_not_made(tmp_path, general, pairs):
    with pytest.raises(IndexFormatError, match="does not exist; expected an index"):
        tune(tmp_path / "typo", plan(general, pairs))
    assert not (tmp_path / "typo").exists()


def test_negatives_that_are_positives_are_left_out(index, general, tmp_path):
    made = [TrainingRow(row.query, row.pos, row.pos) for row in rows(40)]
    made += [
        TrainingRow(made[0].query, (made[1].pos[0],), ()),
        TrainingRow(made[1].query, (made[0].pos[0],), made[1].pos),
    ]
    write_training_rows(tmp_path / "same.jsonl", made)
    found = data_of(index, plan(general, tmp_path / "same.jsonl"))
    good = {}
    for row in found:
        good.setdefault(row.query, set()).update(row.pos)
    assert found
    assert all(row.neg and not good[row.query].intersection(row.neg) for row in found)


def test_a_learning_rate_that_overflows_is_said(index, general, pairs):
    before = digests(index)
    absurd = TrainSpec(epochs=2, batch_size=16).model_copy(update={"learning_rate": 1e30, "warmup": 0.0})
    with pytest.raises(
        TrainingError, match=r"the loss at step \d+ is nan; expected a number. Use a lower learning_rate"
    ):
        tune(index, plan(general, pairs, spec=absurd), run="r")
    assert digests(index) == before
    last = absurd.model_copy(update={"epochs": 1, "batch_size": 512, "learning_rate": 1e39})
    with pytest.raises(TrainingError, match=r"after training \d+ weights are not finite numbers"):
        from quarry.training.fit.embedder import finetune

        finetune(Path(Index.open(index).manifest.embedder.folder), rows(40), last, index / "tuning" / "last")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_model_that_misses_a_file_is_named(tmp_path, general, pairs, name):
    from quarry.indexer.models.encoder import load_embedder
    from quarry.indexer.models.source import resolve_model

    source = resolve_model(str(tiny_model(tmp_path / "model")))
    embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
    documents = [Document(f"d{number}", row.pos[0]) for number, row in enumerate(rows(20))]
    index_documents(tmp_path / "index", documents, embedder, BuildOptions(model_folder=str(source.folder)))
    before = digests(tmp_path / "index")
    (tmp_path / "model" / name).unlink()
    with pytest.raises((ModelError, IndexMismatchError), match=r"model|tokenizer"):
        tune(tmp_path / "index", plan(general, pairs))
    assert digests(tmp_path / "index") == before


def test_a_checkpoint_that_misses_a_file_is_passed_over(index, general, pairs):
    class Stop(Unwatched):
        def training(self, progress):
            if progress.step == 14:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(index, plan(general, pairs), run="r", observer=Stop())
    folder = index / "tuning" / "r" / "finetune" / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-12", "checkpoint-6"]
    (folder / "checkpoint-12" / "optimizer.pt").unlink()
    steps = []

    class Watch(Unwatched):
        def training(self, progress):
            steps.append(progress.step)

    assert tune(index, plan(general, pairs), run="r", observer=Watch()).promoted
    assert steps[0] == 7
