"""Single questions of saved evaluations: which went badly, what was found and what was missed. It draws nothing."""

from collections.abc import Mapping, Sequence

from quarry.app.ui.evaluate.presenter import NamedRun
from quarry.app.ui.shared.shown_text import Row, Say

_MOST_SHOWN = 200  # questions in the list
_RESULTS = 10  # documents shown of each ranking


def query_rows(runs: Sequence[NamedRun], measure: str, texts: Mapping[str, str], order: str, say: Say) -> list[Row]:
    """Return the questions of one run, or of two side by side, the worst first.

    Args:
        runs: One or two.
        measure: The metric.
        texts: Query id to text; those without a text show their id.
        order: `lowest` value of the last run; `losses` or `wins` of the last against the first.
        say: Picks the language.
    """
    values = [run.saved.evaluation.values(measure) for run in runs]
    shared = [query_id for query_id in values[-1] if query_id in values[0]]

    def key(query_id: str) -> tuple[float, float, str]:
        value = values[-1][query_id]
        change = value - values[0][query_id]
        return {"losses": change, "wins": -change}.get(order, 0.0), value, query_id

    rows = []
    for query_id in sorted(shared, key=key)[:_MOST_SHOWN]:
        row: Row = {"id": query_id, say("Question", "问题"): texts.get(query_id, query_id)}
        row |= {run.label: round(found[query_id], 4) for run, found in zip(runs, values, strict=True)}
        if len(runs) > 1:
            row[say("Difference", "差值")] = round(values[-1][query_id] - values[0][query_id], 4)
        rows.append(row)
    return rows


def result_rows(
    run: NamedRun, query_id: str, grades: Mapping[str, int], titles: Mapping[str, str], say: Say
) -> list[Row]:
    """Return the first ten documents that a run found for a question, judged ones with their grade."""
    rows = []
    for rank, (doc_id, score) in enumerate(run.saved.run.get(query_id, ())[:_RESULTS], start=1):
        grade = grades.get(doc_id)
        mark = "" if grade is None else f"✓ {grade}" if grade > 0 else f"✗ {grade}"
        rows.append(
            {
                "#": str(rank),
                say("Relevant", "相关"): mark,
                say("Document", "文档"): titles.get(doc_id) or doc_id,
                say("Score", "分数"): f"{score:.4f}",
                say("Id", "标识"): doc_id,
            }
        )
    return rows


def missed_rows(
    runs: Sequence[NamedRun], query_id: str, grades: Mapping[str, int], titles: Mapping[str, str], say: Say
) -> list[Row]:
    """Return the relevant documents of a question with their rank in each run; `-` when not found."""
    ranks = [
        {doc_id: rank for rank, (doc_id, _) in enumerate(run.saved.run.get(query_id, ()), start=1)} for run in runs
    ]
    return [
        {
            say("Relevant document", "相关文档"): titles.get(doc_id) or doc_id,
            say("Id", "标识"): doc_id,
            say("Grade", "等级"): str(grade),
            **{run.label: str(found.get(doc_id, "-")) for run, found in zip(runs, ranks, strict=True)},
        }
        for doc_id, grade in sorted(grades.items(), key=lambda pair: (-pair[1], pair[0]))
        if grade > 0
    ]
