"""What `quarry pairs` keeps of pairs of which it is known what they are: `python -m tests.benchmarks.planted_pairs [DRAWS] [COUNT]`.

Questions of the demo corpus's general set (XQuAD) with the paragraphs that answer them, COUNT of them, in Chinese, in English and in one
language with the other, among as many unrelated pairs, copies, spam and attacks (`tests.training.pairs.planted`), through the whole
command with the model of this machine. Each draw takes other questions and puts other texts together.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from quarry.app.wiring import choose_model
from quarry.indexer.embedder import Embedder, Vectors
from quarry.training.pairs.run import make_pairs
from tests.training.pairs.planted import plant, shares, write_rows
from tests.training.pairs.sentences import true_pairs

LANGUAGES = [("-zh", "-en"), ("-en", "-zh"), ("-en", "-en"), ("-zh", "-zh")]


@dataclass
class _Kept:
    """An embedder that keeps the vectors of texts, since draws share many."""

    inner: Embedder
    vectors: dict[tuple[str, str], Vectors] = field(default_factory=dict)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._all("query", texts, self.inner.embed_queries)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._all("document", texts, self.inner.embed_documents)

    def _all(self, side: str, texts: Sequence[str], embed: Callable[[list[str]], Vectors]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if (side, text) not in self.vectors]
        self.vectors |= {(side, text): row for text, row in zip(new, embed(new), strict=True)}
        return np.array([self.vectors[side, text] for text in texts], np.float32).reshape(
            len(texts), self.inner.spec.dim
        )


def main() -> None:
    """Print a line for each draw, and the mean of each pair of languages."""
    draws, count = (int(sys.argv[place]) if len(sys.argv) > place else default for place, default in ((1, 3), (2, 60)))
    embedder = choose_model("auto", device="cpu").embedder
    assert embedder is not None, "no model is on this machine"
    kept = _Kept(embedder)
    for query, passage in LANGUAGES:
        found = []
        for draw in range(draws):
            rows = plant(true_pairs(query, passage, count, draw), draw)
            with TemporaryDirectory() as folder:
                write_rows(Path(folder) / "docs", rows)
                out = Path(folder) / "out.jsonl"
                make_pairs([Path(folder) / "docs"], out, kept)  # type: ignore[arg-type]
                found.append(shares(rows, [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]))
            print(f"{query} {passage} {draw}: {_line(found[-1])}", flush=True)
        mean = {what: float(np.mean([one[what] for one in found])) for what in found[0]}
        print(f"{query} {passage} mean of {draws}: {_line(mean)}", flush=True)


def _line(values: dict[str, float]) -> str:
    return ", ".join(f"{what} {share:.3f}" for what, share in sorted(values.items()))


if __name__ == "__main__":
    main()
