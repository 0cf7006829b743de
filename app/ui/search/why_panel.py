"""Draws why a result has its rank: chart, tables, words."""

from typing import TYPE_CHECKING

import altair as alt
import streamlit as st

from quarry.app.ui.search import why
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import plain, told
from quarry.indexer.errors import SearchError

if TYPE_CHECKING:
    from quarry.retriever.results import Answer, Result
    from quarry.retriever.searcher import Searcher

_CHART_HEIGHT = 220
_ACCENT, _QUIET = "#b45309", "#9ca3af"


def explanation(session: Session, answer: "Answer", result: "Result", searcher: "Searcher", key: str) -> None:
    """Draw the ranks of a result in all stages, its scores, what raised it, and which words were found and met."""
    say = session.say
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.caption(
            say(
                "The rank of every result in each stage; this one in color, lower is better.",
                "各阶段给出的名次；彩色线是这一条，数字越小越靠前。",
            )
        )
        st.altair_chart(_chart(session, answer, result), width="stretch", key=f"chart-{key}")
    with right:
        st.table(why.score_rows(answer, result, say), border="horizontal", hide_index=True)
        if parts := why.similarity_rows(result, say):
            st.table(parts, border="horizontal", hide_index=True)
    st.html(why.terms_html(result, say) + why.notes_html(answer, say))
    try:
        met = searcher.meetings(answer.query.text, result)
    except SearchError as err:
        st.caption(plain(told(err, say)))
        return
    if shown := why.meetings_html(met, say):
        st.html(why.STYLE + shown)


def _chart(session: Session, answer: "Answer", result: "Result") -> alt.LayerChart | alt.FacetChart:
    say = session.say
    rows = why.movement(answer, result.chunk_id, say)
    stages = list(dict.fromkeys(row["stage"] for row in sorted(rows, key=lambda row: row["order"])))
    worst = max(row["rank"] for row in rows)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("stage:N", sort=stages, title=None, axis=alt.Axis(labelAngle=0), scale=alt.Scale(padding=0.3)),
        y=alt.Y(
            "rank:Q",
            title=say("rank", "名次"),
            axis=alt.Axis(values=[1, 2, 3, 5, 10, 20, 50, 100], format="d"),
            scale=alt.Scale(type="log", domain=[1, max(worst, 3)], reverse=True, nice=False),
        ),
        detail="passage:N",
    )
    others = base.transform_filter("!datum.chosen").mark_line(color=_QUIET, opacity=0.35, point={"color": _QUIET})
    mine = base.transform_filter("datum.chosen")
    line = mine.mark_line(color=_ACCENT, strokeWidth=3, point={"color": _ACCENT, "size": 90})
    numbers = mine.mark_text(color=_ACCENT, dy=-14, fontWeight="bold", fontSize=13).encode(text="rank:Q")
    return alt.layer(others, line, numbers).properties(height=_CHART_HEIGHT, padding={"top": 18})
