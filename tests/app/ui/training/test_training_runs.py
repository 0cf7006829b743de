"""Runs as the page says them: golden rows and words of written reports, in both languages, and curves."""

import json
import os
from datetime import UTC, datetime

from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.training import runs as shown
from quarry.training.negatives.corpus import MiningCorpus
from quarry.training.negatives.mine import mine_negatives
from quarry.training.negatives.report import mining_report
from quarry.training.negatives.report_page import write_report
from quarry.training.tuning.gate import judge
from quarry.training.tuning.run import TuningRun
from tests.app.ui.languages import chinese, english
from tests.fakes import WordEmbedder
from tests.training.tuning.test_gate import trial

DAY = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
COMPARED = {"difference": 0.0512, "low": 0.0201, "high": 0.0813, "p": 0.00123}


def report(**changes):
    verdict = {"promote": True, "held_out": COMPARED, "evidence": 1234.5, "general": {"difference": -0.004}}
    known = {
        "promoted": True,
        "forced": False,
        "verdict": verdict,
        "dev": [0.5, 0.6123],
        "examples": {"to train on": 80},
    }
    return {**known, "words": {"en": "Promote. ok", "zh": "可以上线。"}, **changes}


def a_run(index, name, content=None, *, at=0):
    folder = index / "tuning" / name
    (folder / "data").mkdir(parents=True)
    sources = {"feedback": True, "corpus": True, "pairs": ["/data/成对.jsonl"]}
    (folder / "plan.json").write_text(json.dumps({"sources": sources}), encoding="utf-8")
    os.utime(folder / "plan.json", (DAY.timestamp() + at,) * 2)
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        (folder / "report.json").write_text(text, encoding="utf-8")
    return TuningRun(folder)


def test_runs_newest_first_with_their_outcome(tmp_path):
    refused = {"promote": False, "held_out": COMPARED, "general": {"difference": -0.05}}
    a_run(tmp_path, "one", report(), at=0)
    a_run(tmp_path, "two", report(promoted=False, verdict=refused), at=1)
    a_run(tmp_path, "three", report(forced=True, verdict=refused), at=2)
    a_run(tmp_path, "four", report(promoted=False), at=3)
    a_run(tmp_path, "five", at=4)
    a_run(tmp_path, "six", "{no json", at=5)
    a_run(tmp_path, "seven", {"promoted": True}, at=6)
    a_run(tmp_path, "eight", at=7)
    views = shown.run_views(tmp_path, "eight")
    assert [(view.name, view.state) for view in views] == [
        ("eight", "running"), ("seven", "damaged"), ("six", "damaged"), ("five", "unfinished"), ("four", "kept"),
        ("three", "forced"), ("two", "refused"), ("one", "promoted"),
    ]  # fmt: skip  # a table
    assert shown.run_rows(views, english, Clock(UTC))[-1] == {
        "Run": "one",
        "Started": "2026-11-20 09:30",
        "Outcome": "promoted",
        "Held-out nDCG@10, 95 % interval": "+0.0512 [+0.0201, +0.0813]",
        "Evidence": "1,234.5",
        "General set": "-0.0040",
        "Dev before and after": "0.5000 → 0.6123",
    }
    assert [row["结果"] for row in shown.run_rows(views, chinese, Clock(UTC))][3:5] == ["未完成", "可以上线，但未上线"]
    assert "no verdict" in shown.verdict_words(views[3], english)[0]
    assert shown.verdict_words(views[1], chinese) == ["报告无法读取"]
    assert shown.source_words(views[3], chinese) == "来源：反馈日志、文档、成对.jsonl"
    assert shown.source_words(views[1], english) == "Sources: -"
    assert shown.run_views(tmp_path / "none") == []


def judged(better):
    """The reason and the figures of a verdict, as a report keeps them."""
    ranks = ([3] * 60, [1] * 50 + [3] * 10) if better else ([1] * 60, [3] * 60)
    verdict = judge(trial(*ranks), trial([2] * 60, [2] * 60))
    return [part.as_json() for part in (verdict.reason(), *verdict.figures())]


def test_the_verdict_comes_in_parts(tmp_path):
    for name, changes in (
        ("a", {"messages": judged(True)}),
        ("b", {"promoted": False, "messages": judged(True)}),
        ("c", {"promoted": False, "messages": judged(False)}),
        ("d", {"forced": True, "messages": judged(False)}),
        ("e", {"promoted": False}),  # of an older version
    ):
        verdict = {"promote": name in "ab", "held_out": COMPARED, "general": {"difference": -0.004}}
        a_run(tmp_path, name, report(**{"verdict": verdict, **changes}), at=ord(name))
    older, forced, refused, kept, promoted = shown.run_views(tmp_path)
    first, held, general = shown.verdict_words(promoted, english)
    assert first == "Promoted: it is better on unseen questions."
    assert held.startswith("Held-out queries: nDCG@10 0.5000 -> 0.9167")
    assert general.startswith("General set: No difference shown")
    assert [line.partition("：")[0] for line in shown.verdict_words(promoted, chinese)[1:]] == ["留出查询", "通用集"]
    assert (
        shown.verdict_words(kept, english)[0] == "It may be promoted; this run was started without automatic switching."
    )
    assert shown.verdict_words(refused, english)[0] == "Refused: it is worse on the held-out queries"
    assert shown.verdict_words(refused, chinese)[0] == "不上线：在留出查询上变差"
    assert shown.verdict_words(forced, english)[:2] == [
        "Promoted against the verdict.",
        "Refused: it is worse on the held-out queries",
    ]
    assert shown.verdict_words(older, english) == ["Promote. ok"]


def test_curves_leave_out_points_that_nobody_sees(tmp_path):
    run = a_run(tmp_path, "one")
    run.finetune.mkdir()
    lines = [
        {"step": 0, "dev": 0.25},
        *({"step": n, "loss": 1 / n} for n in range(1, 1002)),
        {"step": 1001, "dev": 0.5},
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    (run.finetune / "log.jsonl").write_text(text + '\n{"step": 10', encoding="utf-8")
    loss, dev = shown.curve_rows(run)
    assert dev == [{"step": 0, "value": 0.25}, {"step": 1001, "value": 0.5}]
    assert (len(loss), loss[0], loss[1]["step"], loss[-1]["step"]) == (335, {"step": 1, "value": 1.0}, 4, 1001)
    (run.finetune / "log.jsonl").write_text('{"step": "x", "loss": "y"}', encoding="utf-8")
    assert shown.curve_rows(run) == ([], [])
    assert shown.curve_rows(TuningRun(tmp_path / "none")) == ([], [])


def test_the_mining_report_of_an_older_version_is_cut_and_made_safe(tmp_path):
    run = a_run(tmp_path, "one")
    assert shown.mining_text(run, chinese) == ""
    (run.data / "mining.md").write_text("a\u202eb" + "文" * shown.MOST_REPORT, encoding="utf-8")
    (run.data / "mining.json").write_text('{"title": "Mined negatives", "facts": {"examples": 3}}', encoding="utf-8")
    text = shown.mining_text(run, chinese)
    assert text.startswith("a\ufffdb文") and text.endswith("文\n…")
    assert len(text) == shown.MOST_REPORT + 2


def test_the_mining_report_is_in_the_language_of_the_page(tmp_path):
    run = a_run(tmp_path, "one")
    nothing = mine_negatives([], MiningCorpus.from_texts(["a"], WordEmbedder()))
    write_report(run.data, "mining", mining_report(nothing))
    assert shown.mining_text(run, english).startswith("# Mined negatives")
    assert shown.mining_text(run, chinese).startswith("# 挖掘的负例")


def test_a_tuned_model_that_is_there_is_loaded_by_two_lines(tmp_path):
    model = tmp_path / "model"
    a_run(tmp_path, "one", report(model=str(model)))
    assert shown.run_views(tmp_path)[0].loading == ()
    model.mkdir()
    (model / "config.json").write_text("{}", encoding="utf-8")
    assert shown.run_views(tmp_path)[0].loading == (
        "from sentence_transformers import SentenceTransformer",
        f"model = SentenceTransformer('{model}')",
    )
