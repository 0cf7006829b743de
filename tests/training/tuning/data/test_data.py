"""What a run must know of the runs before it."""

from types import SimpleNamespace

from quarry.training.examples.rows import TrainingRow, write_training_rows
from quarry.training.tuning.data import _trained_on


def lineage(*runs):
    """The newest run first."""
    found = None
    for run in reversed(runs):
        found = SimpleNamespace(run=run, before=found)
    return found


def test_what_any_tuned_ancestor_was_trained_on_is_known(tmp_path):
    for run, query in (("first", "How do I  RENEW?"), ("second", "怎么续借？"), ("refused", "parking")):
        (tmp_path / "tuning" / run / "data").mkdir(parents=True)
        write_training_rows(tmp_path / "tuning" / run / "data" / "train.jsonl", [TrainingRow(query, ("text",))])
    index = SimpleNamespace(root=tmp_path, manifest=SimpleNamespace(lineage=lineage("second", "gone", "first")))
    assert _trained_on(index) == {"how do i renew?", "怎么续借?"}
    assert _trained_on(SimpleNamespace(root=tmp_path, manifest=SimpleNamespace(lineage=None))) == set()
