"""Every option of `quarry tune` does something: those of its data, changed alone, change them. A new one without a case fails here."""

import inspect
import json
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quarry.app.cli.commands.tune import What, tune
from quarry.app.cli.options import RouteName
from quarry.indexer.build import index_documents
from quarry.indexer.errors import FeedbackError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.training.examples.split import SplitSpec
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning.data import tuning_data
from quarry.training.tuning.plan import DataSpec, SyntheticSource, TuningSources, Unwatched
from quarry.training.tuning.run import TuningRun
from tests.fakes import WordEmbedder
from tests.training.examples.test_synthetic import chat, server
from tests.training.tuning.data.test_synthetic_source import writes

__all__ = ["server"]

# options of what is printed, and the test that shows what each does
PRINTED = {"as_json": "tests/app/cli/test_tune_command.py", "quiet": "tests/app/cli/test_tune_command.py"}


def topics(count, first=0):
    """Pairs of a question and its passage, half of them Chinese, that share two made-up words."""
    draw, found = random.Random(first), []
    for number in range(count):
        code = "".join(draw.choice("abcdefghijklmnoprstuvw") for _ in range(6))
        if number % 2:
            found.append((f"{code} 怎么使用", f"{code} 的说明：第{number + first}号设备放在阅览室，读者都可以使用。"))
        else:
            found.append(
                (f"how to use {code}", f"notes on {code}: device {number + first} stands in the reading room.")
            )
    return found


def lines(path, contents):
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in contents), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An index with feedback, and files of pairs, passages, judged queries and personas."""
    folder = tmp_path_factory.mktemp("world")
    documents = [Document(f"d{n}", said, f"Device {asked}") for n, (asked, said) in enumerate(topics(60))]
    index_documents(folder / "index", documents, WordEmbedder())
    index = Index.open(folder / "index")
    (chunks, _), found = index.chunks.digests(), topics(60)
    with FeedbackLog.open(feedback_path(index.root)) as log:
        for number, name in enumerate(sorted(chunks)[:24]):
            document = name.partition("#")[0]
            asked = found[int(document[1:])][0]
            for day, session in enumerate(("a", "b") if number < 16 else ("a",)):
                at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, minutes=number)
                log.append(FeedbackEvent(asked, "answer", session, "000001", name, document, at=at))
    outside = topics(40, first=1000)
    lines(folder / "pairs.jsonl", [{"query": asked, "pos": [said]} for asked, said in outside])
    lines(folder / "bad.jsonl", [{"query": "q", "pos": 7}, *({"query": a, "pos": [s]} for a, s in outside)])
    lines(folder / "pool.jsonl", [{"text": f"{said} {n}"} for n, (_, said) in enumerate(outside)])
    lines(folder / "people.jsonl", [{"persona": f"keeper {n}"} for n in range(30)])
    judged = folder / "judged"
    (judged / "qrels").mkdir(parents=True)
    lines(judged / "queries.jsonl", [{"_id": f"q{n}", "text": found[n][0]} for n in range(10)])
    (judged / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in range(10)), encoding="utf-8"
    )
    return folder


def spec_of(given, world, endpoint):
    """Return the data of a run as `quarry tune` would ask for them."""
    named = {name: world / file for name, file in given.items() if name in ("evaluate", "personas")}
    seed, number = given.get("seed", 0), given.get("synthetic", 0)
    sources = TuningSources(
        feedback=not given.get("no_feedback", False),
        pairs=tuple(world / name for name in given.get("pairs", ("pairs.jsonl",))),
        corpus=given.get("mine_corpus", False),
        most=given.get("most"),
        one_person=given.get("one_person", False),
        synthetic=SyntheticSource(number, endpoint, named.get("personas")) if number else None,
        candidate_pool=tuple(world / name for name in given.get("candidate_pool", ())),
        strict=given.get("strict", False),
    )
    negatives = NegativeSpec(number=given.get("negatives", 4), seed=seed, consistent_within=None)
    if "ranks" in given:
        negatives = replace(negatives, ranks=given["ranks"], neighbours=False)
    negatives = replace(negatives, neighbours=given.get("neighbours", negatives.neighbours))
    return DataSpec(sources, SplitSpec(seed=seed), named.get("evaluate"), negatives, 2, seed)


def seen(spec, world, folder):
    """Return the data of a run, file by file, or why there are none."""
    run = TuningRun(folder)
    folder.mkdir()
    try:
        data = tuning_data(Index.open(world / "index"), WordEmbedder(), spec, run, Unwatched())
    except FeedbackError as err:
        return str(err)
    files = {path.name: path.read_bytes() for path in run.data.rglob("*.jsonl")}
    return files, sorted(query.text for query in data.held_out.queries)


BAD = {"pairs": ("bad.jsonl",)}
WRITTEN = {"synthetic": 40}
# the option: what else is given on both sides, and its other value
DATA = {
    "pairs": ({}, ()),
    "strict": (BAD, True),
    "candidate_pool": ({}, ("pool.jsonl",)),
    "mine_corpus": ({}, True),
    "synthetic": ({}, 40),
    "personas": (WRITTEN, "people.jsonl"),
    "no_feedback": ({}, True),
    "one_person": ({}, True),
    "evaluate": ({}, "judged"),
    "most": ({}, 30),
    "negatives": ({}, 2),
    "ranks": ({}, (5, 9)),
    "seed": ({}, 1),
}


@pytest.mark.parametrize("name", DATA)
def test_an_option_changed_alone_changes_the_data(world, server, tmp_path, name):
    server.answers = [personal if name == "personas" else writes]
    shared, value = DATA[name]
    before = seen(spec_of(shared, world, server.endpoint()), world, tmp_path / "before")
    again = seen(spec_of(shared, world, server.endpoint()), world, tmp_path / "again")
    after = seen(spec_of({**shared, name: value}, world, server.endpoint()), world, tmp_path / "after")
    assert before == again
    assert after != before


def test_whether_neighbours_are_looked_for_changes_negatives_and_nothing_else(world, tmp_path):
    """No option of its own: `--range-for-sampling` switches it off, and its case above changes the ranks as well."""
    with_them = seen(spec_of({}, world, None), world, tmp_path / "with")
    without = seen(spec_of({"neighbours": False}, world, None), world, tmp_path / "without")
    found = [
        {(row["query"], *row["pos"]): set(row["neg"]) for row in map(json.loads, files["train.jsonl"].splitlines())}
        for files, _ in (with_them, without)
    ]
    assert with_them[1] == without[1]
    assert found[0].keys() == found[1].keys()
    assert found[0] != found[1]


def personal(body):
    """Ask for the passage's device as whoever asks would."""
    message = json.loads(body)["messages"][0]["content"]
    person = re.search(r"(?:You are |你是)([^.。，]{1,12})", message)[1]
    passage = message.split("<passage>\n")[1].split("\n</passage>")[0]
    return chat(json.dumps([f"{re.split('[:：]', passage)[0]} {person}"], ensure_ascii=False))


ASKED = {"synthetic": 3, "endpoint": "http://127.0.0.1:1/v1", "endpoint_model": "m"}
# the option: what else is given on both sides, and its other value
RUN = {
    "index": ({}, Path("other")),
    "run": ({}, "again"),
    "what": ({}, What.second_stage),
    "reranker": ({"what": What.reranker}, "from-encoder"),
    "endpoint": (ASKED, "http://127.0.0.1:2/v1"),
    "endpoint_model": (ASKED, "n"),
    "settings": ({}, "settings.toml"),
    "epochs": ({}, 3),
    "learning_rate": ({}, 1e-4),
    "batch_size": ({}, 8),
    "temperature": ({}, 0.5),
    "route": ({}, RouteName.dense),
    "force": ({}, True),
    "dry_run": ({}, True),
    "device": ({}, "cpu"),
    "processes": ({}, 2),
}


class _Asked(Exception):
    """Ends a command where its run would begin."""


@pytest.mark.parametrize("name", RUN)
def test_an_option_changed_alone_changes_what_is_run(name, tmp_path, monkeypatch):
    """What each field of the plan changes is in test_every_setting of fit and of tuning, and in test_embedder."""
    (tmp_path / "settings.toml").write_text("warmup = 0.5\n")
    begun = []

    def begin(index, plan, *, run, observer):
        begun.append((index, plan, run))
        raise _Asked

    monkeypatch.setattr("quarry.training.tuning.tune", begin)
    shared, value = RUN[name]
    value = tmp_path / value if name == "settings" else value
    for given in (shared, {**shared, name: value}):
        with pytest.raises(_Asked):
            tune(**{"index": Path("index"), **given})
    assert begun[0] != begun[1]


def test_every_option_has_a_case():
    assert set(inspect.signature(tune).parameters) == DATA.keys() | RUN.keys() | PRINTED.keys()
