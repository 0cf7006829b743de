"""Model benchmarks on the Evaluate page: averages per kind of the results that `quarry benchmark` wrote into the index's folder."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from quarry.app.ui.evaluate import charts
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import Row, Say, safe
from quarry.indexer.errors import SearchError
from quarry.retriever.benchmark.results.averages import Averages, averages
from quarry.retriever.benchmark.results.stored import model_folders, model_name, read_results

FOLDER = "benchmarks"  # below the index: quarry benchmark --into INDEX/benchmarks


def show_benchmarks(session: Session) -> None:
    """Draw a table and bars of the models that were scored; nothing when none was."""
    say, folder = session.say, session.index / FOLDER
    if not model_folders(folder):
        return
    st.subheader(say("Model benchmarks", "模型基准"), anchor=False)
    try:
        found = benchmark_averages(folder)
    except SearchError as err:
        st.warning(say("The benchmark results cannot be read.", "基准结果无法读取。"), icon=":material/warning:")
        st.code(str(err), language=None, wrap_lines=True)
        return
    st.dataframe(average_rows(found, say), hide_index=True)
    st.altair_chart(charts.kinds_chart(kind_rows(found), say))
    st.caption(
        say(
            "Averages over tasks as mteb's leaderboard computes them, with the number of tasks. Averages over other tasks cannot "
            "be compared.",
            "按 mteb 排行榜的方式对任务求平均，并注明任务数。任务不同的平均值不可比较。",
        )
    )


def benchmark_averages(folder: Path) -> dict[str, Averages]:
    """Return the averages of every model whose results lie below a folder.

    Raises:
        SearchError: If a result cannot be read.
    """
    found = {}
    for own in model_folders(folder):
        scores = [score for result in read_results(own) for score in result.task_scores()]
        if scores:
            found[model_name(own)] = averages(scores)
    return found


def average_rows(found: Mapping[str, Averages], say: Say) -> list[Row]:
    """Return one row per model: the overall average and that of each kind."""
    kinds = list(dict.fromkeys(kind for each in found.values() for kind in each.kinds))
    return [
        {
            say("model", "模型"): safe(name),
            say("average", "平均"): f"{each.overall:.2f} ({len(each.tasks)})",
            **{kind: f"{each.kinds[kind]:.2f} ({each.counts[kind]})" if kind in each.kinds else "" for kind in kinds},
        }
        for name, each in found.items()
    ]


def kind_rows(found: Mapping[str, Averages]) -> list[Row]:
    """Return one row per model and kind, for the chart."""
    return [
        {"run": safe(name), "kind": kind, "value": value, "tasks": each.counts[kind]}
        for name, each in found.items()
        for kind, value in each.kinds.items()
    ]
