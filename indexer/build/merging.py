"""Which segments of an index are merged into the one that a build writes.

Small ones are merged with it, as long as each is no larger than what is gathered so far: segments grow in steps (the
logarithmic method: Bentley and Saxe, Journal of Algorithms 1980), and a passage is written again a few times in its life. When
a tenth of the index has changed it is measured anew (`quarry.indexer.build.measuring.measurement`); all segments then become
one, which also leaves out what was removed. An index of less than 1,000 passages is always one segment.
"""

from collections.abc import Mapping

from quarry.indexer.build.measuring.measurement import KEPT_FROM, STALE, still_good
from quarry.indexer.build.plan import Plan
from quarry.indexer.storage.texts.contents import MOST_SEGMENTS
from quarry.indexer.storage.texts.working_table import WorkingTable

SMALL = 64  # passages; segments up to this size are always merged
CHEAP = 5_000  # passages merged at most while there is room for another segment: they take less than a second


def segments_to_merge(table: WorkingTable, plan: Plan) -> list[int]:
    """Return the numbers of the live generation's segments that the new segment takes in."""
    left, (_, passages) = table.left(), table.counts()
    if not plan.keeps_segments() or passages < KEPT_FROM or _is_worn(table, plan):
        return list(left)
    return smallest_to_merge(left, table.head_counts()[1])


def _is_worn(table: WorkingTable, plan: Plan) -> bool:
    """Whether so much has changed that the index is measured anew, or written anew where nothing is measured."""
    if plan.embedder is None:
        return table.removed_passages() > STALE * table.counts()[1]
    return still_good(plan, table.language_counts(), table.changed_passages()) is None


def smallest_to_merge(left: Mapping[int, int], new: int) -> list[int]:
    """Return the numbers of the segments that are merged with a new one of so many passages.

    Args:
        left: Passages that are left in each segment, by its number.
        new: Passages of the new one.

    Example:
        >>> smallest_to_merge({1: 100_000, 2: 900, 3: 500, 4: 20}, 450)  # 20, then 500 > 470
        [4]
        >>> smallest_to_merge({1: 100_000, 2: 900, 3: 500, 4: 20}, 480)  # 20, 500 and 900
        [4, 3, 2]
    """
    chosen: list[int] = []
    gathered = new
    for number, passages in sorted(left.items(), key=lambda each: (each[1], -each[0])):
        crowded = len(left) - len(chosen) >= MOST_SEGMENTS
        cheap = passages <= max(SMALL, gathered) and gathered + passages <= CHEAP
        if not (crowded or cheap):
            break
        chosen.append(number)
        gathered += passages
    return chosen
