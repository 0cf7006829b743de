"""Where each example's negatives come from: passages written like its positive, so that nothing else can be learnt from them.

A model that always sees positives of one style and negatives of another learns the style. Pairs from a file are often bodies
without titles, while the passages of an index carry theirs; mined against the index, a matching title becomes a sign of a wrong
answer: the dev score, measured on pairs of the file, rises, and answers from the index get worse.
So examples whose positive is a passage of the index are mined in the index, all others among the positives of the files, as
FlagEmbedding's `hn_mine` does where no candidate pool is given.

Files are searched twice. The model ranks the positives of the drawn examples, which tells whether it finds an example's
positive at all. BM25 searches the positives of all examples, drawn or not, and the candidate pool, for what stands nearest:
sections of the same page, which among a thousand pairs out of forty thousand are hardly to be met, and which are what search
has to tell apart; a spec without `neighbours` leaves this search out. Their similarity is not measured, as encoding them
takes as long as training; so no margin holds for them, only that they are neither known to be good nor copies of a positive.
What they bring is in docs/results.md, "What tuning brings".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from quarry.indexer.embedder import Embedder
from quarry.indexer.opened import Index
from quarry.indexer.storage.vectors.blob_cache import passage_digest
from quarry.training.examples.example import Example
from quarry.training.negatives.corpus import MiningCorpus
from quarry.training.negatives.mine import MinedSet, mine_negatives
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning.plan import TuningObserver

NEAREST = 10  # places of BM25's ranking that neighbours are drawn from
_NEIGHBOURS = NegativeSpec(
    pool="bm25", ranks=(0, NEAREST), relative=None, above_random=False, consistent_within=None, fill=False
)


@dataclass(frozen=True, slots=True)
class Sides:
    """Examples by where their positives stand: in the index as they are, or elsewhere."""

    inside: tuple[Example, ...]
    outside: tuple[Example, ...]

    @classmethod
    def of(cls, examples: Sequence[Example], index: Index) -> "Sides":
        """Look every positive up among the passages of the index, as they are embedded."""
        passages = set(index.chunks.digests()[1])
        held = [any(passage_digest(text) in passages for text in example.row.pos) for example in examples]
        inside = tuple(example for example, there in zip(examples, held, strict=True) if there)
        return cls(inside, tuple(example for example, there in zip(examples, held, strict=True) if not there))


@dataclass(frozen=True, slots=True)
class _FilePools:
    """The positives of files: of all of them without vectors, of the drawn examples with the model's."""

    near: MiningCorpus
    ranked: MiningCorpus


class MiningPools:
    """The index, and the positives that are not in it."""

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        examples: Sequence[Example],
        watch: TuningObserver,
        *,
        passages: Sequence[str] = (),
    ) -> None:
        """Open the pools.

        Args:
            index: The live index.
            embedder: Its model; encodes the positives that are not in the index, once.
            examples: All that will be mined for; held-out ones must not be among them.
            watch: Receives progress events of the encoding.
            passages: Passages of the files and the candidate pool, for neighbours, besides the examples' own positives; held-out ones
                must not be among them.

        Raises:
            ModelError: If encoding fails.
        """
        self._index = index
        self._watch = watch
        self._own = MiningCorpus.from_index(index, embedder)
        self._texts = list(dict.fromkeys(text for one in Sides.of(examples, index).outside for text in one.row.pos))
        self._filed: _FilePools | None = None
        if self._texts:
            near = MiningCorpus.from_texts([*self._texts, *passages], None)
            watch.phase("encoding", len(self._texts))
            self._filed = _FilePools(near, MiningCorpus.from_texts(self._texts, embedder, progress=watch.advance))

    @property
    def beyond_index(self) -> bool:
        """Whether some positives are not in the index, so that passages of files are searched."""
        return self._filed is not None

    def mine(self, examples: Sequence[Example], spec: NegativeSpec) -> MinedSet:
        """Mine negatives for examples, each where its positive stands.

        Raises:
            ModelError: If the pool needs vectors and there are none, or the embedder fails.
        """
        sides = Sides.of(examples, self._index)
        self._watch.phase("mining", len(examples))
        found = mine_negatives(sides.inside, self._own, spec, progress=self._watch.advance)
        if not sides.outside or self._filed is None:
            return found
        if not spec.neighbours:
            return found.joined(mine_negatives(sides.outside, self._filed.ranked, spec, progress=self._watch.advance))
        rules = replace(_NEIGHBOURS, number=spec.number, seed=spec.seed)
        near = mine_negatives(sides.outside, self._filed.near, rules)
        ranked = mine_negatives(near.examples, self._filed.ranked, spec, progress=self._watch.advance)
        return found.joined(ranked.after(near))

    def others(self, examples: Sequence[Example], number: int, seed: int) -> list[str]:
        """Draw passages that complete the candidates of dev examples, from each pool in proportion to its examples."""
        sides = Sides.of(examples, self._index)
        rng = np.random.default_rng(seed)
        own = round(number * len(sides.inside) / max(1, len(examples)))
        ids, _ = self._index.chunks.digests()
        rows = rng.choice(len(ids), min(own, len(ids)), replace=False)
        drawn = self._index.chunks.texts([ids[row] for row in sorted(rows)])
        rows = rng.choice(len(self._texts), min(number - own, len(self._texts)), replace=False)
        return drawn + [self._texts[row] for row in sorted(rows)]
