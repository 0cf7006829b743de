"""In-context embedding from training to search: only the examples say what is asked for, and they are obeyed."""

import json
from collections import Counter

import numpy as np
import pytest

from quarry.indexer.errors import SettingsError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.few_shot import Shot, with_shots, without_shots
from quarry.indexer.models.format import model_format
from quarry.indexer.models.source import resolve_model
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.retriever.models.recorded import as_recorded, recorded_embedder
from quarry.retriever.searcher import Searcher
from quarry.training.examples.rows import write_training_rows
from quarry.training.fit.embedder import finetune
from quarry.training.fit.models.trainable import open_trainable
from quarry.training.fit.rows.batches import plan_batches
from quarry.training.fit.rows.examples_before import ExamplesBefore
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.spec import InContextSpec, TrainSpec
from quarry.training.tuning import tune
from tests.training.in_context.asking import indexed, right, run
from tests.training.in_context.two_readings import EVERY, FORMAT, HELD, SHOWN, SPEC, TRAINED, said, shots, task_rows
from tests.training.tuning.test_embedder import DENSE, general, plan
from tests.training.tuning.test_recorded_settings import built

__all__ = ["general"]


def test_only_examples_tell_the_readings_apart_and_search_obeys_them(trained, files):
    index = indexed(files / "index", trained)
    assert (right(index, "x") + right(index, "y")) / 2 <= 0.5
    for letter, other in ("xy", "yx"):
        assert right(index, letter, "--examples", files / f"{letter}.jsonl") > 0.9
        assert right(index, letter, "--examples", files / f"{other}.jsonl") < 0.1


def test_an_index_keeps_its_examples_and_a_search_may_ask_with_others(trained, files):
    index = indexed(files / "index", trained, "--examples", files / "x.jsonl")
    assert right(index, "x") > 0.9
    assert right(index, "x", "--examples", files / "y.jsonl") < 0.1
    facts = Index.open(index).manifest.embedder
    searching = recorded_embedder(index, facts, "cpu")
    assert searching.spec.query_format == with_shots(FORMAT, shots("x", SHOWN[:3]))
    # the same documents with other examples are another generation, with no passage encoded again
    report = json.loads(
        run(
            "index",
            files / "documents",
            "--into",
            index,
            "--device",
            "cpu",
            "-q",
            "--json",
            "--examples",
            files / "y.jsonl",
        )
    )
    assert (report["encoded"], report["switched"]) == (0, True)
    assert right(index, "x") < 0.1
    assert right(index, "y") > 0.9
    manifest = Index.open(index).manifest
    assert as_recorded(searching, manifest).spec.query_format == with_shots(FORMAT, shots("y", SHOWN[:3]))


def test_a_tuned_model_keeps_the_examples_of_its_index_and_obeys_others(trained, files, general):
    source = resolve_model(str(trained))
    index = indexed(files / "index", trained, "--examples", files / "x.jsonl")
    write_training_rows(files / "pairs.jsonl", task_rows(EVERY[:120] + HELD, "x"))
    spec = TrainSpec.of({**SPEC, "epochs": 1, "in_context": None, "learning_rate": 1e-4})
    job = plan(general, files / "pairs.jsonl", force=True, merge=(1.0,), spec=spec)
    assert tune(index, job, run="a").promoted
    manifest = Index.open(index).manifest
    assert manifest.embedder.to_spec().revision != source.revision
    assert manifest.embedder.to_spec().query_format == with_shots(FORMAT, shots("x", SHOWN[:3]))
    assert right(index, "x") > 0.9
    assert right(index, "x", "--examples", files / "y.jsonl") < 0.1
    folder = index / "models" / "a"
    shape = model_format(folder, json.loads((folder / "config.json").read_text()), "")
    assert shape.in_context
    assert without_shots(shape.query_format) == FORMAT


def test_an_index_is_answered_as_before_when_it_is_opened_again_from_python(trained, files):
    folder = files / "index"
    documents = [Document(f"{letter}{n}", said(letter, one)) for letter in "xy" for n, one in enumerate(HELD)]
    built(folder, trained, documents, examples=shots("y", SHOWN[:2]))
    searcher = Searcher.open(folder, device="cpu")
    best = [searcher.search(said("n", one), k=1, options=DENSE).results[0].text.strip() for one in HELD]
    assert np.mean([text == said("y", one) for text, one in zip(best, HELD, strict=True)]) > 0.9


def drawn(base, rows, **settings):
    """Return what an epoch of batches reads: of each draw its own row, and the examples in its format."""
    spec = TrainSpec.of({**SPEC, "epochs": 6, "in_context": settings})
    opened = open_trainable(base, spec, device="cpu")
    table = RowTable.of(rows)
    chooser = ExamplesBefore(table, spec.in_context, opened.tokenizer, spec.seed)
    for batch in plan_batches(table, spec).batches:
        formats = chooser.formats(batch, [FORMAT] * len(batch))
        for draw, query_format in zip(batch, formats, strict=True):
            blocks = query_format.split("\n\n")[:-1]
            yield rows[draw.row], [tuple(block.removeprefix("ask ").split(" answer ")) for block in blocks]


def test_none_to_five_examples_of_the_batch_come_equally_often_and_never_the_querys_own_pair(base):
    rows = task_rows(TRAINED, "x") + task_rows(TRAINED, "y")
    counts = Counter()
    for own, examples in drawn(base, rows, examples=5):
        counts[len(examples)] += 1
        assert len(set(examples)) == len(examples)
        for query, answer in examples:
            assert query != own.query
            assert answer not in own.pos
            assert answer[0] == own.kind  # its own reading
    total = counts.total()
    assert total >= 10_000
    assert set(counts) == set(range(6))
    share, band = 1 / 6, 3.3 * np.sqrt(5 / 36 / total)  # 99.9 % of draws
    assert all(abs(count / total - share) < band for count in counts.values())


def test_fixed_examples_are_the_same_for_all_queries_of_a_kind_and_the_model_is_served_with_them(base, tmp_path):
    rows = task_rows(TRAINED[:80], "x") + task_rows(TRAINED[:80], "y")
    seen = {}
    for own, examples in drawn(base, rows, examples=3, choice="fixed"):
        assert len(examples) == 3
        assert all(query != own.query for query, _ in examples)
        seen.setdefault(own.kind, Counter()).update(examples)
    assert {kind: len([one for one in found.values() if one > 400]) for kind, found in seen.items()} == {"x": 3, "y": 3}
    spec = TrainSpec.of({**SPEC, "epochs": 1, "in_context": {"examples": 3, "choice": "fixed"}})
    done = finetune(base, task_rows(TRAINED[:64], "x"), spec, tmp_path / "run", device="cpu")
    served = load_embedder(done.folder, device="cpu").spec.query_format
    assert served.count(" answer ") == 4
    assert without_shots(served) == FORMAT


def test_long_examples_are_cut_and_the_first_goes_first_so_that_query_and_tail_stay(base):
    from quarry.training.fit.rows.collation import Collator

    rows = task_rows(TRAINED[:40], "x")
    spec = TrainSpec.of({**SPEC, "in_context": {"examples": 5, "part_tokens": 8, "max_tokens": 32}})
    opened = open_trainable(base, spec, device="cpu")
    long = [type(row)(" ".join([row.query] * 9), (" ".join(row.pos * 9),), row.neg, kind="x") for row in rows]
    batch = plan_batches(long, spec).batches[0]
    features = Collator(long, spec, opened.tokenizer, opened.shape)(batch)
    words = {number: word for word, number in opened.tokenizer.backend_tokenizer.get_vocab().items()}
    texts = [
        [words[token] for token, real in zip(line, mask, strict=True) if real]
        for line, mask in zip(
            features["query_input_ids"].tolist(), features["query_attention_mask"].tolist(), strict=True
        )
    ]
    assert max(map(len, texts)) == 32
    for text in texts:
        assert text[-2:] == ["answer", "[EOS]"]
        for block in " ".join(text[:-1]).split("ask ")[1:-1]:  # whole examples
            query, answer = block.split(" answer ")
            assert len(query.split()) == 8
            assert len(answer.split()) == 8
        own = " ".join(text).rsplit("ask ", 1)[1].split()
        assert len(own) >= 8 - 2


def test_a_format_that_cannot_hold_examples_is_refused(base):
    with pytest.raises(SettingsError, match="expected something behind the query"):
        open_trainable(base, TrainSpec.of({**SPEC, "query_format": "ask {query}"}), device="cpu")
    with pytest.raises(SettingsError, match="no blank line before it"):
        open_trainable(base, TrainSpec.of({**SPEC, "query_format": "ask\n\n{query} answer "}), device="cpu")


def test_the_number_of_examples_and_their_length_have_bounds():
    with pytest.raises(SettingsError, match="in_context.examples"):
        TrainSpec.of({"in_context": {"examples": 0}})
    assert InContextSpec() == InContextSpec(examples=5, part_tokens=256, max_tokens=2048)
    assert Shot("a", "b").instruct == ""
