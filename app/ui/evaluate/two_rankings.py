"""Two rankings of the passages for one question: what is only in one of them, and what moved. It draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from quarry.app.ui.shared.shown_text import SHORTENED, Say, excerpt, shortened_html
from quarry.app.ui.shared.vocabulary import method_name
from quarry.retriever.results import Result

SNIPPET_CHARS = 160
NAME_CHARS = 80  # of titles and sources
STYLE = (
    f"<style>{SHORTENED}</style>"
    + """<style>
.q-two { overflow-wrap: anywhere; unicode-bidi: isolate; border-bottom: 1px solid rgba(128, 128, 128, .3); padding: .35rem 0; }
.q-two .q-rank { display: inline-block; min-width: 1.4rem; font-weight: 600; }
.q-two .q-move { float: right; margin-left: .6rem; font-size: .86rem; white-space: nowrap; cursor: help; }
.q-two .q-new { color: light-dark(#a04406, #eda352); font-weight: 600; }
.q-two .q-text { font-size: .92rem; line-height: 1.45; }
.q-two .q-place { opacity: .72; font-size: .84rem; }
.q-two mark { background: rgba(245, 158, 11, .32); color: inherit; padding: 0 .1em; border-radius: .2em; }
</style>"""
)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a search method in a generation of the index.

    Attributes:
        method: As on the command line: `hybrid`, `dense` or `bm25`, with `+rerank` where reranked.
        generation: Name of the generation; empty for the live one.
    """

    method: str
    generation: str = ""

    def name(self, say: Say) -> str:
        """Return what a menu calls it."""
        method = method_name(self.method, say)
        if not self.generation:
            return method
        return say(f"{method}, generation {self.generation}", f"{method}，版本 {self.generation}")


@dataclass(frozen=True, slots=True)
class Placed:
    """A passage in one ranking.

    Attributes:
        result: With its rank.
        other: Its rank in the other ranking; None where it is not in it.
    """

    result: Result
    other: int | None

    def move(self, say: Say) -> tuple[str, str]:
        """Return the mark of what differs from the other ranking, and what the mark means."""
        if self.other is None:
            return say("only here", "仅在此列"), say("not in the other list", "不在另一列中")
        means = say(f"rank {self.other} in the other list", f"在另一列中排第 {self.other}")
        up = self.other - self.result.rank
        return (f"▲ {up}" if up > 0 else f"▼ {-up}" if up else "="), means


def placed(results: Sequence[Result], others: Sequence[Result]) -> list[Placed]:
    """Return the passages of one ranking with their ranks in the other; the same text at the same place is the same passage."""
    ranks = {other.chunk_id: other.rank for other in others}
    return [Placed(result, ranks.get(result.chunk_id)) for result in results]


def placed_html(one: Placed, say: Say) -> str:
    """Return one passage: rank, title, what moved, the part that matches best, its source."""
    result, (mark, means) = one.result, one.move(say)
    kind = "q-move q-new" if one.other is None else "q-move"
    page = say(f" · page {result.page}", f" · 第 {result.page} 页") if result.page else ""
    return (
        f"<div class='q-two'><span class='{kind}' title='{means}' aria-label='{means}'>{mark}</span>"
        f"<div><span class='q-rank'>{result.rank}</span> <b>{shortened_html(result.title, NAME_CHARS)}</b></div>"
        f"<div class='q-text'>{excerpt(result.text, result.highlights, SNIPPET_CHARS)}</div>"
        f"<div class='q-place'>{shortened_html(result.source, NAME_CHARS)}{page}</div></div>"
    )


def summary_words(left: Sequence[Placed], right: Sequence[Placed], say: Say) -> str:
    """Return how much the two rankings have in common."""
    both = sum(one.other is not None for one in left)
    moved = sum(one.other is not None and one.other != one.result.rank for one in left)
    if not left and not right:
        return say("Neither finds a passage.", "两种方式都没有找到段落。")
    if left and not moved and both == len(left) == len(right):
        return say("Both find the same passages in the same order.", "两种方式找到的段落和顺序完全相同。")
    return say(
        f"In both lists: {both}, of these at another rank: {moved}. Only left: {len(left) - both}. Only right: {len(right) - both}.",
        f"两列都有：{both}，其中名次不同：{moved}。仅左列：{len(left) - both}。仅右列：{len(right) - both}。",
    )
