"""The tuning runs of an index as the page shows them: outcome, verdict, sources, curves. It draws nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.shown_text import Row, Say, safe, told
from quarry.indexer.messages import Message
from quarry.training.examples.reasons import Counts, counts_from_json
from quarry.training.fit.run_folder import RunFolder
from quarry.training.negatives.report import MiningReport
from quarry.training.negatives.report_page import markdown
from quarry.training.tuning.candidates import loading_lines
from quarry.training.tuning.run import TuningRun, tuning_runs

RunState = Literal["running", "promoted", "forced", "refused", "kept", "unfinished", "damaged"]

MOST_POINTS = 400  # per curve; more cannot be told apart
MOST_RUNS = 100
MOST_REPORT = 60_000  # characters of a mining report
_STATES = {
    "running": ("running", "运行中"),
    "promoted": ("promoted", "已上线"),
    "forced": ("promoted against the verdict", "不顾结论而上线"),
    "refused": ("refused", "不上线"),
    "kept": ("not promoted, though it may be", "可以上线，但未上线"),
    "unfinished": ("not finished", "未完成"),
    "damaged": ("report cannot be read", "报告无法读取"),
}
_ENDS = {
    "promoted": (
        "Promoted: it is better on unseen questions.",
        "已上线：它在训练时没有见过的问题上表现更好。",
    ),
    "forced": ("Promoted against the verdict.", "不顾结论，已经上线。"),
    "kept": (
        "It may be promoted; this run was started without automatic switching.",
        "可以上线，但该运行未启用自动切换。",
    ),
}


@dataclass(frozen=True, slots=True)
class RunView:
    """One tuning run, finished or not.

    Attributes:
        name: Name of its folder.
        begun: When it was started or last continued.
        state: How it ended.
        facts: The plan that it was started with; empty when that cannot be read.
        verdict: The gate's reason and the figures of its two tests; empty before the end.
        held_out: Difference of the means, low and high end of its 95 % interval, evidence of a gain
            (reports of older versions have none: 0); None before the end.
        general: Difference on the general set; None before the end.
        dev: nDCG@10 on the dev queries before and after; None where unknown.
        counts: Examples and what was left out.
        loading: Lines of Python that load the tuned model; none where it is not known or gone.
    """

    name: str
    begun: datetime
    state: RunState
    facts: Mapping[str, Any]
    verdict: tuple[Message, ...]
    held_out: tuple[float, float, float, float] | None
    general: float | None
    dev: tuple[float | None, float | None]
    counts: Counts
    loading: tuple[str, ...] = ()


def run_views(index: Path, running: str = "") -> list[RunView]:
    """Return the newest runs of an index, newest first.

    Args:
        index: The index folder.
        running: Name of the run in progress in the app.
    """
    return [_view(run, running) for run in reversed(tuning_runs(index)[-MOST_RUNS:])]


def _view(run: TuningRun, running: str) -> RunView:
    plan = run.folder / "plan.json"
    begun = datetime.fromtimestamp(plan.stat().st_mtime, UTC)
    try:
        facts = dict(json.loads(plan.read_text(encoding="utf-8")))
        if run.name == running:
            return RunView(run.name, begun, "running", facts, (), None, None, (None, None), {})
        report = run.report()
        if report is None:
            return RunView(run.name, begun, "unfinished", facts, (), None, None, (None, None), {})
        verdict = report["verdict"]
        held = verdict["held_out"]
        before, after = report["dev"]
        return RunView(
            name=run.name,
            begun=begun,
            state=_state(report),
            facts=facts,
            verdict=_verdict(report),
            held_out=(
                float(held["difference"]),
                float(held["low"]),
                float(held["high"]),
                float(verdict.get("evidence", 0)),
            ),
            general=float(verdict["general"]["difference"]),
            dev=(before, after),
            counts=counts_from_json(report.get("counts", report["examples"])),
            loading=_loading(facts, report),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # edited by hand
        return RunView(run.name, begun, "damaged", {}, (), None, None, (None, None), {})


def _loading(facts: Mapping[str, Any], report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines that load the model; reports of older versions do not name it."""
    model = Path(str(report.get("model", "")))
    what = facts.get("what", "embedder")
    if what not in ("embedder", "reranker") or not (model / "config.json").is_file():
        return ()
    return tuple(loading_lines(what, model))


def _verdict(report: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return the reason and the figures; reports of older versions have one sentence."""
    if "messages" in report:
        return tuple(Message.from_json(part) for part in report["messages"])
    return (Message.plain(str(report["words"]["en"])),)


def _state(report: Mapping[str, Any]) -> RunState:
    if report["promoted"]:
        return "forced" if report["forced"] else "promoted"
    return "kept" if report["verdict"]["promote"] else "refused"


def run_rows(runs: Sequence[RunView], say: Say, clock: Clock) -> list[Row]:
    """Return one row per run."""
    return [
        {
            say("Run", "运行"): safe(run.name),
            say("Started", "开始"): clock.minute(run.begun),
            say("Outcome", "结果"): say(*_STATES[run.state]),
            say("Held-out nDCG@10, 95 % interval", "留出问题 nDCG@10，95% 区间"): _gain(run),
            say("Evidence", "证据强度"): f"{min(run.held_out[3], 1e6):,.1f}"
            if run.held_out and run.held_out[3]
            else "-",
            say("General set", "通用集"): "-" if run.general is None else f"{run.general:+.4f}",
            say("Dev before and after", "开发集前后"): " → ".join(
                "-" if one is None else f"{one:.4f}" for one in run.dev
            ),
        }
        for run in runs
    ]


def _gain(run: RunView) -> str:
    if run.held_out is None:
        return "-"
    difference, low, high, _ = run.held_out
    return f"{difference:+.4f} [{low:+.4f}, {high:+.4f}]"


def verdict_words(run: RunView, say: Say) -> list[str]:
    """Return how a run ended, with the gate's reasons, and a line of figures for each of its two tests."""
    if run.verdict:
        own = [] if run.state == "refused" else [say(*_ENDS[run.state])]
        # "Promote" says no more than ours
        shown = run.verdict[1:] if run.state in ("promoted", "kept") else run.verdict
        return [*own, *(told(part, say) for part in shown)]
    if run.state == "unfinished":
        return [
            say(
                "This run has no verdict: it was stopped, or is running in a terminal. Finished work is kept.",
                "该运行还没有结论：已被停止，或正在终端中进行。已完成的部分都保留着。",
            )
        ]
    return [say(*_STATES[run.state])]


def column_words(say: Say) -> str:
    """Return what the columns of `run_rows` mean."""
    return say(
        "Held-out: the gain on questions that training did not see. Evidence: how strongly they show a gain; it decides, and 100 is "
        "enough, at whatever number of questions you look. General set: the change on questions about other subjects, which may "
        "hardly fall. Dev: used to pick the checkpoint, so optimistic.",
        "留出：在训练未见过的问题上的提升。证据强度：这些问题在多大程度上显示出提升，结论以此为准；无论在问到第几个问题时查看，达到 "
        "100 即可。通用集：在其他主题的问题上的变化，几乎不得下降。开发集：用来选择最佳步的问题，因此偏乐观。",
    )


def source_words(run: RunView, say: Say) -> str:
    """Return the sources of a run's examples."""
    kept = run.facts.get("sources")
    sources = kept if isinstance(kept, dict) else {}
    parts = [say("feedback log", "反馈日志")] if sources.get("feedback") else []
    parts += [say("documents", "文档")] if sources.get("corpus") else []
    pairs = sources.get("pairs")
    parts += [safe(Path(str(path)).name) for path in pairs] if isinstance(pairs, list) else []
    return say("Sources: ", "来源：") + (say(", ", "、").join(parts) or "-")


def curve_rows(run: TuningRun) -> tuple[list[Row], list[Row]]:
    """Return the points of the loss and of the dev score, by step; at most `MOST_POINTS` each, the last one always."""
    try:
        lines = RunFolder(run.finetune, writes=False).lines()
        return _points(lines, "loss"), _points(lines, "dev")
    except (OSError, ValueError, TypeError):
        return [], []


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> list[Row]:
    found = [
        {"step": int(line["step"]), "value": float(line[name])} for line in lines if name in line and "step" in line
    ]
    stride = -(-len(found) // MOST_POINTS) or 1
    return [point for place, point in enumerate(found) if place % stride == 0 or place == len(found) - 1]


def mining_text(run: TuningRun, say: Say) -> str:
    """Return the mining report, cut when long; empty when there is none. Older versions kept an English one only."""
    try:
        report = MiningReport.from_json(json.loads((run.data / "mining.json").read_bytes()))
        text = markdown(report, lambda message: told(message, say))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # older, or edited by hand
        try:
            text = (run.data / "mining.md").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    return safe(text if len(text) <= MOST_REPORT else text[:MOST_REPORT] + "\n…")
