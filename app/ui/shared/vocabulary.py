"""Words that several pages share, so that a thing has one name everywhere."""

from quarry.app.ui.shared.shown_text import Say

_RERANKED = "+rerank"


def method_name(route: str, say: Say) -> str:
    """Return the name of a search method.

    Args:
        route: `hybrid`, `dense` or `bm25`, as on the command line; with `+rerank` behind it when the results are reranked.
        say: Picks the language.
    """
    names = {
        "hybrid": say("Hybrid (meaning + words)", "混合（语义+关键词）"),
        "dense": say("Meaning (dense)", "语义（dense）"),
        "bm25": say("Words (BM25)", "关键词（BM25）"),
    }
    first = route.removesuffix(_RERANKED)
    name = names.get(first, first)
    return name if first == route else say(f"{name} + rerank", f"{name} + 重排")
