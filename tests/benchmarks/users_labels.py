"""How many wrong examples a crowd's feedback gives, without training: `python -m tests.benchmarks.users_labels WORK KIND`.

The questions of the first round are asked of the real index once (WORK and KIND as for `tests.benchmarks.users`); then each crowd
looks at the same answers, and `quarry.training.examples.from_feedback` makes examples of what it does. Wrong: the right passage is not a positive, or
not the only one.
"""

import sys
from functools import lru_cache
from pathlib import Path

from quarry.retriever.searcher import Searcher
from quarry.training.examples.from_feedback import curate
from quarry.training.feedback.events import ShownHit, StoredEvent
from quarry.training.feedback.judgements import query_key
from tests.benchmarks.users import GANG, OTHERS, PER_ROUND, TRUTH, fresh_index, shown_by
from tests.benchmarks.users_world import SPAM, SPAM_TEXT, make_world
from tests.training.simulated_users import ATTACKS, Crowd, feedback_of

GANG_NAMES = 8


def crowds() -> dict[str, Crowd]:
    found = {f"no gang, noise {noise}": Crowd(noise=noise) for noise in (0.0, 0.15, 0.3)}
    for attack in ATTACKS:
        found[f"{attack}, a new name per vote"] = Crowd(gang=GANG, attack=attack)
        found[f"{attack}, {GANG_NAMES} names"] = Crowd(gang=GANG, attack=attack, gang_names=GANG_NAMES)
        found[f"{attack}, on half of the questions"] = Crowd(gang=GANG, attack=attack, focus=0.5)
    return found


def main(work: Path, kind: str) -> None:
    world = make_world(kind, per_round=PER_ROUND, truth=TRUTH, others=OTHERS)
    ask = lru_cache(maxsize=None)(shown_by(Searcher.open(fresh_index(work, work / "labels", kind, world)), "hybrid"))
    spam = ShownHit(f"{SPAM}#0-{len(SPAM_TEXT[kind])}", SPAM, 1, 1.0, "fusion")
    right = {query_key(question): f"{doc_id}#" for question, doc_id in world.rounds[0].items()}
    print("| crowd | events | examples | wrong | right passage as negative |\n|---|---|---|---|---|")
    for name, crowd in crowds().items():
        events = feedback_of(crowd, world.rounds[0], ask, spam=spam)
        found = curate([StoredEvent(n, event) for n, event in enumerate(events, start=1)], lambda chunk_id: chunk_id)
        answers = [(right[example.key], example.row) for example in found.examples]
        wrong = sum(len(row.pos) > 1 or not row.pos[0].startswith(answer) for answer, row in answers)
        against = sum(any(text.startswith(answer) for text in row.neg) for answer, row in answers)
        print(f"| {name} | {len(events)} | {len(answers)} | {wrong} | {against} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
