"""What tests of faults look at and how they strike: all of an index that must not change, and an act when a stage begins."""

from hashlib import sha256
from pathlib import Path

from quarry.training.tuning.plan import Unwatched


def digests(index: Path) -> dict[str, str]:
    """What must not change: all of an index but the folders of runs, and who wrote last."""
    return {
        str(path.relative_to(index)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(index.rglob("*"))
        if path.is_file() and path.relative_to(index).parts[0] not in ("tuning", "writer.lock")
    }


class Until(Unwatched):
    """Does something when a stage begins."""

    def __init__(self, stage, act):
        self.stage_name, self.act, self.sentences = stage, act, []

    def stage(self, message):
        sentence = str(message)
        self.sentences.append(sentence)
        if sentence.startswith(self.stage_name) and self.act:
            act, self.act = self.act, None
            act()
