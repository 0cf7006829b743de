"""Data that nothing can be learned from is refused in a sentence, before a model is opened; a bad line among good ones is named."""

import json

import pytest

from quarry.indexer.errors import FeedbackError
from quarry.training.examples.row_files import RowFiles
from quarry.training.examples.text_files import TextFiles
from quarry.training.fit.rows.batches import plan_batches
from quarry.training.fit.stages import fitting, stage_spec

GOOD = [{"query": f"问题 {n}", "pos": [f"passage {n}"]} for n in range(20)]


def planned(path, contents, stage):
    path.write_text("\n".join(json.dumps(one) for one in contents), encoding="utf-8")
    rows = RowFiles.open([path])
    spec = fitting(stage_spec(stage, {}, gpu=False), len(rows), processes=1, given=False)
    return rows, plan_batches(rows, spec)


@pytest.mark.parametrize("stage", ["general", "task", "reranker"])
@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([], "a.jsonl has no pairs; expected JSON lines"),
        (GOOD[:1], "no batch can be made of 1 row: .* expected at least 2 different queries with different passages"),
        ([{"query": "q", "pos": []}], "a.jsonl:1: pos is empty; expected at least one relevant passage"),
        ([{"query": f"q{n}", "pos": ["p"]} for n in range(9)], "no batch can be made of 9 rows"),
        ([{"text": f"t{n}", "label": "x"} for n in range(9)], "no batch can be made of 9 rows"),
        (
            [{"text": "t", "label": label} for label in ("  ", None, True, [])],
            "has 4 bad lines: .*a.jsonl:1: text or label",
        ),
        ([{"premise": "a", "hypothesis": "b", "label": "maybe"}], "a.jsonl:1: label is 'maybe'; expected entailment"),
    ],
    ids=["no pairs", "one pair", "no positive", "one passage", "one label", "labels that name nothing", "no inference"],
)
def test_what_teaches_nothing_is_refused(tmp_path, stage, contents, message):
    with pytest.raises(FeedbackError, match=message):
        planned(tmp_path / "a.jsonl", contents, stage)


@pytest.mark.parametrize(
    "bad",
    [
        {"query": "q", "pos": []},
        {"text": "t", "label": " "},
        {"premise": "a", "hypothesis": "b", "label": "maybe"},
    ],
)
def test_a_bad_line_among_good_ones_is_left_out_and_named(tmp_path, bad):
    rows, plan = planned(tmp_path / "a.jsonl", [*GOOD[:7], bad, *GOOD[7:]], "general")
    assert len(rows) == 20
    assert [str(one).partition(": ")[0] for one in rows.bad_rows] == [f"{tmp_path / 'a.jsonl'}:8"]
    assert sum(map(len, plan.batches)) == 20


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([], "a.jsonl hold no text; expected"),
        ([{"text": "one text"}], "no batch can be made of 1 row"),
        ([{"text": " "}, {"title": "t"}], "a.jsonl hold no text; expected"),
    ],
    ids=["no text", "one text", "empty texts"],
)
def test_texts_that_teach_nothing_are_refused(tmp_path, contents, message):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, contents)), encoding="utf-8")
    with pytest.raises(FeedbackError, match=message):
        texts = TextFiles([path])
        plan_batches(texts, fitting(stage_spec("pretrain", {}, gpu=False), len(texts), processes=1, given=False))
