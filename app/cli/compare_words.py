"""The words of `quarry compare` in both languages, and cutting of text to terminal cells."""

from collections.abc import Mapping
from unicodedata import east_asian_width

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "run": "run", "what": "what", "run file": "run file", "queries": "queries", "against": "against",
        "before": "before", "after": "after", "difference": "difference", "verdict": "verdict",
        "wins": "Largest wins", "losses": "Largest losses", "marks": "+ relevant, - not relevant, ? not judged",
        "first relevant": "first relevant", "none": "none",
        "better": "better", "worse": "worse", "no difference shown": "no difference shown",
        "too few queries": "too few queries",
    },
    "zh": {
        "run": "运行结果", "what": "说明", "run file": "运行文件", "queries": "查询数", "against": "对比",
        "before": "之前", "after": "之后", "difference": "差值", "verdict": "结论",
        "wins": "提升最大的查询", "losses": "下降最大的查询", "marks": "+ 相关，- 不相关，? 未标注",
        "first relevant": "首个相关文档", "none": "无",
        "better": "更好", "worse": "更差", "no difference shown": "未显示出差异", "too few queries": "查询太少",
    },
}  # fmt: skip
"""Language to the words of the tables; the verdicts are those of `quarry.retriever.evaluation.compare.Verdict`."""


def cut(text: str, width: int) -> str:
    """Return as much of a text as fits into `width` terminal cells, ending in `...` when it was cut; one line."""
    flat = " ".join(text.split())
    used = 0
    for place, character in enumerate(flat):
        used += 2 if east_asian_width(character) in "WF" else 1
        if used > width:
            return _fitting(flat[:place], width - 3) + "..."
    return flat


def _fitting(text: str, width: int) -> str:
    used = 0
    for place, character in enumerate(text):
        used += 2 if east_asian_width(character) in "WF" else 1
        if used > width:
            return text[:place]
    return text
