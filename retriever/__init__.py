"""A question in, an explained answer out.

    question -> checked, operators read, filters looked up     asking, understood, searcher
    -> dense search and BM25, each within its time budget      stages.single, stages.guard
    -> fused: BM25 trusted as far as the corpus knows the words stages.hybrid, stages.fusion
    -> the best candidates read once more                      stages.rerank, rerankers, stages.both_languages
    -> copies named with the best of them                      distinct, copies
    -> texts, pages, highlights, explanations                  presentation, results, highlight
    -> an answer with checked citations, or a refusal          answers, llm

The door is `Searcher`: `Searcher.open(index).search(question)`; `pipeline` puts its stages together. Programs that run for long
take `LiveSearcher`, which follows the live generation. `ask` answers in sentences. `ranking` holds what flows between the stages,
`base` the protocols, and `runs` ranks documents instead of passages; a stage that cannot run says so in a `StageReport` and the
next-best one answers. What somebody may see of an index, and several indexes as one, are `views` that share its models.

`phrases` finds passages word for word, `file_names` the files that a query names.

Beside the line: `why_not` follows a document that is not shown through the stages; `evaluation` measures and compares what is served,
on judged `data`; `diagnosis` looks at vectors; `benchmark` runs mteb's tasks. The names below are public; heavy libraries load when
they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quarry.retriever.answers.answer import AskOptions, GroundedAnswer, ask
    from quarry.retriever.evaluation.compare import compare
    from quarry.retriever.evaluation.evaluate import evaluate
    from quarry.retriever.live import LiveSearcher
    from quarry.retriever.ranking import Query, Ranking
    from quarry.retriever.rerankers.cross_encoder import load_reranker
    from quarry.retriever.results import Answer, Result
    from quarry.retriever.searcher import Searcher, SearchOptions

_HOMES = {
    "Answer": "results",
    "AskOptions": "answers.answer",
    "GroundedAnswer": "answers.answer",
    "LiveSearcher": "live",
    "Query": "ranking",
    "Ranking": "ranking",
    "Result": "results",
    "SearchOptions": "searcher",
    "Searcher": "searcher",
    "ask": "answers.answer",
    "compare": "evaluation.compare",
    "evaluate": "evaluation.evaluate",
    "load_reranker": "rerankers.cross_encoder",
}
__all__ = [
    "Answer",
    "AskOptions",
    "GroundedAnswer",
    "LiveSearcher",
    "Query",
    "Ranking",
    "Result",
    "SearchOptions",
    "Searcher",
    "ask",
    "compare",
    "evaluate",
    "load_reranker",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module at the first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'quarry.retriever' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"quarry.retriever.{_HOMES[name]}"), name)
