"""The charts of the Evaluate page, drawn from the presenter's rows. No figure is computed here."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import altair as alt

from quarry.app.ui.shared.shown_text import Row, Say

Layers: TypeAlias = alt.LayerChart | alt.FacetChart
"""What altair calls charts drawn over each other."""

_HEIGHT = 340
# Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of color vision. The vermilion is left for losses.
_RUNS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d3b")
_BETTER, _WORSE, _SAME = "#009e73", "#d55e00", "#9e9e9e"


def delta_chart(rows: Sequence[Row], measure: str, say: Say) -> alt.Chart:
    """One bar per question: what the second run gained or lost."""
    domain = [say("better", "变好"), say("same", "不变"), say("worse", "变差")]
    order = say("questions, the largest gain first", "问题，提升最多者在前")
    chart: alt.Chart = (
        _chart(rows)
        .mark_bar()
        .encode(
            x=alt.X("place:O", title=order, axis=alt.Axis(labels=False, ticks=False)),
            y=alt.Y("delta:Q", title=say(f"difference in {measure}", f"{measure} 差值")),
            color=alt.Color("outcome:N", title=None, scale=alt.Scale(domain=domain, range=[_BETTER, _SAME, _WORSE])),
            tooltip=[
                alt.Tooltip("query:N", title=say("question", "问题")),
                alt.Tooltip("delta:Q", format="+.4f", title=say("difference", "差值")),
            ],
        )
        .properties(height=_HEIGHT)
    )
    return chart


def latency_chart(rows: Sequence[Row], measure: str, say: Say) -> Layers:
    """Quality against time, with the interval of the mean."""
    base = _chart(rows).encode(
        x=alt.X("ms:Q", title=say("milliseconds per question", "每个问题的毫秒数")),
        color=_run(say),
        tooltip=[
            alt.Tooltip("run:N", title=say("search method", "检索方式")),
            alt.Tooltip("value:Q", format=".4f", title=measure),
            alt.Tooltip("ms:Q", format=".1f", title=say("ms", "毫秒")),
        ],
    )
    y = alt.Y("value:Q", title=say(f"{measure}, 95 % interval", f"{measure}，95% 区间"), scale=alt.Scale(zero=False))
    low = alt.Y("low:Q", scale=alt.Scale(zero=False))
    rules, points = base.mark_rule().encode(y=low, y2="high:Q"), base.mark_point(filled=True, size=120).encode(y=y)
    chart: Layers = alt.layer(rules, points)
    return chart.properties(height=_HEIGHT)


def kinds_chart(rows: Sequence[Row], say: Say) -> alt.Chart:
    """Averages of models on benchmarks: one group of bars per kind of task."""
    chart: alt.Chart = (
        _chart(rows)
        .mark_bar()
        .encode(
            x=alt.X("kind:N", title=say("kind of task", "任务类型"), sort=None),
            xOffset=alt.XOffset("run:N", sort=None),
            y=alt.Y("value:Q", title=say("average, of 100", "平均分（满分 100）"), scale=alt.Scale(domain=[0, 100])),
            color=_run(say),
            tooltip=[
                alt.Tooltip("run:N"),
                alt.Tooltip("kind:N"),
                alt.Tooltip("value:Q", format=".2f"),
                alt.Tooltip("tasks:Q"),
            ],
        )
        .properties(height=_HEIGHT)
    )
    return chart


def depth_chart(rows: Sequence[Row], say: Say) -> alt.Chart:
    """Recall by number of documents."""
    chart: alt.Chart = (
        _chart(rows)
        .mark_line(point=True)
        .encode(
            x=alt.X("k:Q", title=say("first k documents", "前 k 篇文档"), scale=alt.Scale(type="log", nice=False)),
            y=alt.Y("recall:Q", title=say("recall", "召回率"), scale=alt.Scale(domain=[0, 1])),
            color=_run(say),
            tooltip=[
                alt.Tooltip("run:N", title=say("search method", "检索方式")),
                alt.Tooltip("k:Q"),
                alt.Tooltip("recall:Q", format=".4f", title=say("recall", "召回率")),
            ],
        )
        .properties(height=_HEIGHT)
    )
    return chart


def slice_chart(rows: Sequence[Row], measure: str, say: Say) -> Layers:
    """Mean of each group with its interval, runs side by side."""
    names = list(dict.fromkeys(row["slice"] for row in rows))
    runs = list(dict.fromkeys(row["run"] for row in rows))
    base = _chart(rows).encode(
        x=alt.X("slice:N", sort=names, title=say("group (questions)", "分组（问题数）"), axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("run:N", sort=runs),
        color=_run(say),
        tooltip=[
            alt.Tooltip("run:N", title=say("search method", "检索方式")),
            alt.Tooltip("slice:N", title=say("group", "分组")),
            alt.Tooltip("value:Q", format=".4f", title=measure),
            alt.Tooltip("low:Q", format=".4f"),
            alt.Tooltip("high:Q", format=".4f"),
        ],
    )
    y = alt.Y("value:Q", title=say(f"{measure}, 95 % interval", f"{measure}，95% 区间"))
    ends: dict[str, Any] = {"y": "low:Q", "y2": "high:Q", "color": alt.value("#7a7a7a")}
    bars, rules = base.mark_bar(opacity=0.85).encode(y=y), base.mark_rule(strokeWidth=1.5).encode(**ends)
    chart: Layers = alt.layer(bars, rules)
    return chart.properties(height=_HEIGHT)


def _chart(rows: Sequence[Row]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=list(rows)))


def _run(say: Say) -> alt.Color:
    return alt.Color(
        "run:N",
        title=say("search method", "检索方式"),
        sort=None,
        legend=alt.Legend(orient="top", labelLimit=400),
        scale=alt.Scale(range=list(_RUNS)),
    )
