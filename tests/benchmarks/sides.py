"""Sets of questions parted in two: those that users have judged, and those that are asked afterwards."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from quarry.retriever.data.datasets import Dataset
from quarry.retriever.ranking import Query
from quarry.training.examples.rows import TrainingRow
from quarry.training.tuning.query_shift.blocks import blocks_of
from tests.benchmarks.fusion_sets import SOURCES, JudgedSet, all_sets, judged_set

SETS = ("scifact-en", "nq-qed-en", "cmrc2018-zh", "cmrc2018sent-zh")  # with train judgements
LEAST_ASKED = 40  # questions that are left to be asked afterwards


@dataclass(frozen=True)
class Sides:
    """A set with what is judged and what is asked afterwards."""

    one: JudgedSet
    judged: tuple[str, ...]
    asked: tuple[str, ...]

    def dataset(self, names: Sequence[str]) -> Dataset:
        """Return questions as a data set."""
        queries = tuple(Query(name, self.one.queries[name]) for name in names)
        qrels = {name: self.one.qrels[name] for name in names}
        return Dataset(self.one.name, None, queries, qrels, "test", "", {})


def sides(one: JudgedSet, judged: int, seed: int) -> Sides | None:
    """Part the questions of a set; None where too few are left. Those of the train split are judged where there is one."""
    whole = Dataset(one.name, None, tuple(Query(*pair) for pair in one.queries.items()), one.qrels, "test", "", {})
    train = [name for name in one.queries if name.startswith("train ")]
    ours: list[str] = []
    theirs: list[str] = []
    for block in blocks_of(whole, len(whole.queries), seed):
        names = [query.query_id for query in block]
        own = [name for name in names if name.startswith("train ")] if train else names
        if len(ours) < judged and own:
            ours += own[: judged - len(ours)]
        elif not (train and own):
            theirs += names
    return Sides(one, tuple(ours), tuple(theirs)) if len(ours) == judged and len(theirs) >= LEAST_ASKED else None


def sets(names: Sequence[str]) -> Iterator[JudgedSet]:
    """Yield the sets of some names, all for none; those with train judgements have questions of both splits."""
    known = [name for name in names if name in SOURCES]
    few = (judged_set(name, SOURCES[name]) for name in known) if known and len(known) == len(names) else all_sets()
    for one in few:
        if ", " in one.name:
            return
        if not names or one.name in names:
            yield both_splits(one) if one.name in SETS else one


def both_splits(one: JudgedSet) -> JudgedSet:
    """Return a set with the questions of its train split under names of their own, and the documents that answer them."""
    source = SOURCES[one.name]
    test = judged_set(one.name, replace(source, split="dev" if one.name == "nq-qed-en" else "test"))
    train = judged_set(one.name, replace(source, split="train", asked=300))
    documents = {name: (name, title, text) for name, title, text in (*test.documents, *train.documents)}
    queries = {**test.queries, **{f"train {name}": text for name, text in train.queries.items()}}
    qrels = {**test.qrels, **{f"train {name}": grades for name, grades in train.qrels.items()}}
    return replace(one, documents=tuple(documents.values()), queries=queries, qrels=qrels)


def rows_of(part: Sides, answers: Mapping[str, Sequence[str]] | None = None) -> list[TrainingRow]:
    """Return the judged questions as rows; `answers` says which documents are to be right instead of those that are."""
    texts = {name: text for name, _, text in part.one.documents}
    right = answers or {name: [doc for doc, grade in part.one.qrels[name].items() if grade > 0] for name in part.judged}
    return [
        TrainingRow(part.one.queries[name], tuple(texts[doc] for doc in right[name]))
        for name in part.judged
        if right[name]
    ]
