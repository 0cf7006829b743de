"""Groups texts that mean the same, on a scale of the model's own: what unrelated questions have in common is no likeness."""

from collections.abc import Sequence
from json import loads

import numpy as np
from numpy.typing import NDArray

from quarry.demo_corpus import queries_path
from quarry.indexer.embedder import Embedder
from quarry.indexer.language import language_of

_UNRELATED = 99.9  # percentile of the cosines of unrelated questions
_ABOVE = 0.3  # share of the way from there to 1 at which two questions count as one
_WORDS = 0.6  # share of common words, where there is no model


def groups_by_meaning(texts: Sequence[str], embedder: Embedder) -> list[list[int]]:
    """Return the places of texts that mean the same together, in the order of the first of each group.

    Average linkage: two groups become one while the mean cosine of their members is above the scale's threshold. The scale is made of
    the demo corpus's questions, of which no two ask the same, for each pair of languages on its own.

    Args:
        texts: Questions.
        embedder: Embeds them; unit vectors.
    """
    if not texts:
        return []
    vectors = embedder.embed_queries(list(texts))
    foreign = [language_of(text) for text in texts]
    limits = _limits(embedder)
    cosines = vectors @ vectors.T
    needed = np.array([[limits[one == other] for other in foreign] for one in foreign])
    return _merged(cosines - needed)


def groups_by_words(terms: Sequence[frozenset[str]]) -> list[list[int]]:
    """Return the places of questions with most words in common together; for an index without a model."""
    shares = [[len(one & other) / (len(one | other) or 1) for other in terms] for one in terms]
    return _merged(np.array(shares) - _WORDS) if terms else []


def _merged(above: NDArray[np.float64]) -> list[list[int]]:
    """Merge the two groups whose members are most alike, as long as they are above 0 on average."""
    groups = [[place] for place in range(len(above))]
    means = above.astype(np.float64).copy()
    np.fill_diagonal(means, -np.inf)
    alive = np.ones(len(groups), dtype=bool)
    while len(groups) > 1:
        one, other = sorted(divmod(int(np.argmax(means)), len(groups)))
        if means[one, other] <= 0:
            break
        left, right = len(groups[one]), len(groups[other])
        joined = (means[one] * left + means[other] * right) / (left + right)
        groups[one] += groups[other]
        alive[other] = False
        joined[~alive] = -np.inf
        joined[one] = -np.inf
        means[one, :], means[:, one] = joined, joined
        means[other, :], means[:, other] = -np.inf, -np.inf
    return sorted(sorted(group) for group, kept in zip(groups, alive, strict=True) if kept)


def _limits(embedder: Embedder) -> dict[bool, float]:
    """Return the cosine above which two questions are one: in the same language, and in two."""
    questions = [loads(line)["text"] for line in queries_path().read_text(encoding="utf-8").splitlines()]
    languages = np.array([language_of(question) for question in questions])
    vectors = embedder.embed_queries(questions)
    rows, columns = np.triu_indices(len(questions), 1)
    cosines, same = (vectors @ vectors.T)[rows, columns], languages[rows] == languages[columns]
    limits = {}
    for alike in (True, False):
        unrelated = float(np.percentile(cosines[same == alike], _UNRELATED))
        limits[alike] = unrelated + _ABOVE * (1 - unrelated)
    return limits
