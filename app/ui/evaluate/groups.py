"""Groups of questions in saved evaluations: by language, length or metadata, each with its own figures. It draws nothing."""

from collections.abc import Mapping, Sequence

from quarry.app.ui.evaluate.presenter import NamedRun
from quarry.app.ui.shared.shown_text import Row, Say
from quarry.retriever.evaluation.compare import Verdict
from quarry.retriever.evaluation.saved import Questions
from quarry.retriever.evaluation.slices import compare_slices, slices

VERDICTS: Mapping[Verdict, str] = {
    "better": "变好",
    "worse": "变差",
    "no difference shown": "差异不显著",
    "too few queries": "问题太少",
}


def slice_verdicts(runs: Sequence[NamedRun], questions: Questions, by: str, measure: str, say: Say) -> list[Row]:
    """Return the verdict on each group of questions for two runs, with p values corrected for the number of groups.

    Raises:
        CorpusError: If the judgements differ.
    """
    before, after = (run.saved.evaluation for run in runs)
    compared = compare_slices(before, after, measure, by, questions.queries, questions.metadata)
    return [
        {
            say("Group", "分组"): name,
            say("Verdict", "结论"): say(one.verdict, VERDICTS[one.verdict]),
            runs[0].label: f"{one.before:.4f}",
            runs[1].label: f"{one.after:.4f}",
            say("Difference", "差值"): f"{one.difference:+.4f} ({one.low:+.2f} {say('to', '至')} {one.high:+.2f})",
            say("p, corrected", "校正后 p"): f"{one.p_adjusted:.4f}",
            say("Questions", "问题数"): str(one.count),
        }
        for name, one in compared.items()
    ]


def slice_properties(questions: Questions) -> tuple[str, ...]:
    """Return what questions can be grouped by: language, languages of question and document, length, metadata with few values."""
    values: dict[str, set[str]] = {}
    for fields in questions.metadata.values():
        for name, value in fields.items():
            values.setdefault(name, set()).add(value)
    few = sorted(name for name, found in values.items() if 1 < len(found) <= 12 and name not in ("language", "length"))
    return ("language", "length", *few)


def slice_rows(runs: Sequence[NamedRun], questions: Questions, by: str, measure: str) -> list[Row]:
    """Return mean and interval of each group of each run, for a chart."""
    rows = []
    for run in runs:
        for part in slices(run.saved.evaluation, questions.queries, by, metadata=questions.metadata):
            mean = part.means[measure]
            low, high = (mean.value if end is None else end for end in (mean.low, mean.high))
            rows.append(
                {
                    "run": run.label,
                    "slice": f"{part.name} ({mean.count})",
                    "value": mean.value,
                    "low": low,
                    "high": high,
                }
            )
    return rows
