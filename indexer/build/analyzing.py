"""A new index cuts words by the language of its passages, unless it was told how (`quarry.indexer.lexical.choice`).

The languages are known only when the documents are in. So they are cut for Chinese and English first, and again where that does not suit.
"""

from collections.abc import Mapping
from dataclasses import replace

from quarry.indexer.build.intake import recut
from quarry.indexer.build.plan import Plan
from quarry.indexer.build.progress import Clock
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.choice import SAMPLE, suited_analyzer
from quarry.indexer.messages import Message
from quarry.indexer.storage.texts.chunk_table import ChunkTable


def with_suited_analyzer(table: ChunkTable, plan: Plan, clock: Clock) -> Plan:
    """Return the plan with the analyzer that suits the passages; they are cut again where it is another one.

    An index that exists, or whose analyzer was said, keeps what it has.
    """
    if plan.live is not None or plan.settings.analyzer is not None:
        return plan
    choice = suited_analyzer(table.texts(table.lowest_digests(SAMPLE)))
    if choice.analyzer != plan.analyzer:
        plan.cutter.use(analyzer(choice.analyzer))
        clock.phase("cutting", table.counts()[0])
        recut(table, plan.cutter, clock.observer.advance)
    return replace(plan, analyzer=choice.analyzer, languages=choice.languages)


def words_chosen(name: str, languages: Mapping[str, float]) -> Message | None:
    """Return the sentence on an analyzer that was chosen by the languages of the passages; None for the usual one."""
    if name not in languages:
        return None
    return Message.of(
        "build.words_chosen",
        "words are cut by the rules of the language {language}, which {percent} % of the passages are in",
        do="Choose another way with --analyzer",
        language=name,
        percent=round(100 * languages[name]),
    )
