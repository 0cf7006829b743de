"""From the feedback log to training examples, by stated rules, with a count of all that was left out and why.

1. Sessions that are too fast to be people or that mostly contradict the others go; votes in a burst are one voice
   (`quarry.training.feedback.voters`).
2. Queries that read alike (Jaccard similarity of n-grams from `same_query`), have the same numbers, and whose users agree on a
   passage become one, under the most frequent spelling.
3. Of explicit judgements ("this is the answer", thumbs) the majority of voters decides; a tie is no judgement
   (`quarry.training.feedback.judgements`). A judgement counts from `min_voters` voters on; two sessions that clicked the
   passage over one above it stand in for one voter. A positive must also be the choice of more than `query_share` of all who
   chose anything for the query, by a judgement or by what they opened last (`quarry.training.feedback.choices`), and of more
   than `usual_share` of as many as usually choose the answer of a query: so a few who always judge stay a few. A negative is
   dropped when more than `doubt` of those who chose it or judged it down chose it. An answer that somebody wrote to a question
   (`quarry.training.gaps.writing`) is its positive without further voters, unless they outvote it.
4. Clicks alone make a passage a weak positive when at least `click_voters` sessions preferred it to one above it, and these
   are at least `click_share` of those that preferred it or passed it over and more sessions opened it last than any
   other (`quarry.training.feedback.clicks`); they are used only where no explicit positive is known, with the weight `click_weight`.
5. A passage that answers `pushed_queries` queries or more although many of their visitors chose others is no positive: one
   document that a gang pushes everywhere.
6. Negatives are what enough voters judged not relevant, and what `click_voters` sessions passed over and none preferred.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from quarry.indexer.messages import Message
from quarry.training.examples import reasons
from quarry.training.examples.example import Example
from quarry.training.examples.near_duplicates import components, near_duplicates
from quarry.training.examples.rows import TextOf, TrainingRow
from quarry.training.feedback.choices import Choices
from quarry.training.feedback.clicks import ClickKey, Preference, preferences
from quarry.training.feedback.events import EDITOR, StoredEvent
from quarry.training.feedback.judgements import Judgement, judgements, query_key
from quarry.training.feedback.voters import Voices, VoterOptions, pair_of, voices


@dataclass(frozen=True, slots=True)
class CurationOptions:
    """How much evidence an example needs.

    Attributes:
        min_voters: Independent voters behind a judgement; 2, so that no session decides alone. Use 1 for a log of one person.
        query_share: Among the visitors who chose some passage for a query, more than this share must have chosen this one, in
            [0, 1].
        usual_share: Among the visitors who choose the answer of a query in this log (the median), a positive must have more than
            this share, in [0, 1]: where most find nothing, the few who name something may be up to something.
        doubt: Among those who chose a passage or judged it down, those who may have chosen a negative at most, in [0, 1].
        pushed_queries: From this many queries on, a passage must have `pushed_share` of their visitors on average.
        pushed_share: In [0, 1].
        click_voters: Independent sessions behind a weak positive or negative of clicks.
        click_share: Among the sessions that preferred a passage or passed it over, those that must have preferred it.
        click_weight: Weight of examples made of clicks, in (0, 1].
        same_query: Similarity from which two queries may be one, in (0, 1].
        max_query_chars: Longer queries are pasted text, not questions.
        voters: Which sessions count.
    """

    min_voters: int = 2
    query_share: float = 1 / 2
    usual_share: float = 1 / 2
    doubt: float = 1 / 4
    pushed_queries: int = 5
    pushed_share: float = 3 / 4
    click_voters: int = 3
    click_share: float = 2 / 3
    click_weight: float = 0.3
    same_query: float = 0.6
    max_query_chars: int = 512
    voters: VoterOptions = field(default_factory=VoterOptions)


SEVERAL_PEOPLE = CurationOptions()
ONE_PERSON = CurationOptions(min_voters=1, click_voters=2, query_share=0.0, usual_share=0.0, doubt=1.0)


@dataclass(frozen=True, slots=True)
class Curated:
    """Examples, and what became of the rest.

    Attributes:
        examples: In the order in which their queries were first judged.
        events: Events read.
        robots: Sessions left out for their speed.
        contrary: Sessions left out because they contradict the others.
        merged: Spellings that became one query, the one kept first.
        disputed: (query, passage) with as many voters for as against.
        dropped: Counts of everything left out, by reason.
    """

    examples: tuple[Example, ...]
    events: int
    robots: tuple[str, ...]
    contrary: tuple[str, ...]
    merged: tuple[tuple[str, ...], ...]
    disputed: tuple[tuple[str, str], ...]
    dropped: reasons.Counts


def curate(events: Iterable[StoredEvent], text_of: TextOf, rules: CurationOptions = SEVERAL_PEOPLE) -> Curated:
    """Turn a log into examples; an empty or useless log gives none, and the counts say why.

    Args:
        events: As `FeedbackLog.events` gives them, oldest first.
        text_of: From a passage id to its text, None when the index no longer has it.
        rules: How much evidence is asked for.
    """
    log = list(events)
    heard = voices(log, rules.voters)
    spelling, merged = _merge(heard, preferences(heard.clicks, rules.voters.burst_seconds), rules.same_query)
    votes = [_respelt(stored, spelling) for stored in heard.votes]
    opened = [_respelt(stored, spelling) for stored in heard.clicks]
    clicks = preferences(opened, rules.voters.burst_seconds)
    standing = judgements(votes)
    queries = {query_key(stored.event.query): stored.event.query for stored in (*votes, *opened)}
    written = {
        (query_key(stored.event.query), stored.event.chunk_id)
        for stored in (_respelt(stored, spelling) for stored in log)
        if stored.event.session == EDITOR and stored.event.action == "answer"
    }
    work = _Work(text_of, rules, clicks, Choices(votes, opened, rules.voters.burst_seconds), written)
    for judgement in standing:
        work.judge(judgement)
    work.weigh_clicks()
    work.drop_pushed()
    examples = work.examples(queries)
    decided = {(query_key(j.query), j.doc_id, j.chunk_id) for j in standing}
    disputed = sorted({pair_of(stored) for stored in votes} - decided)
    dropped = Counter(
        {
            reasons.REPEATED: heard.repeated,
            reasons.BURST: heard.burst,
            reasons.ROBOTS: sum(s.event.session in heard.robots for s in log),
            reasons.CONTRARY: sum(s.event.session in heard.contrary for s in log),
            reasons.DISPUTED: len(disputed),
        }
    )
    return Curated(
        examples,
        len(log),
        heard.robots,
        heard.contrary,
        merged,
        tuple((q, c or d) for q, d, c in disputed),
        dict(+(dropped + work.dropped)),
    )


def _respelt(stored: StoredEvent, spelling: Mapping[str, str]) -> StoredEvent:
    kept = spelling.get(query_key(stored.event.query))
    return replace(stored, event=replace(stored.event, query=kept)) if kept else stored


def _merge(
    heard: Voices, clicks: Mapping[ClickKey, Preference], similarity: float
) -> tuple[dict[str, str], tuple[tuple[str, ...], ...]]:
    """Return query key -> spelling to use, for queries that are merged, and the groups."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    liked: dict[str, set[str]] = defaultdict(set)
    for stored in (*heard.votes, *heard.clicks):
        spellings[query_key(stored.event.query)][stored.event.query] += 1
        if (stored.event.grade or 0) > 0:
            liked[query_key(stored.event.query)].add(stored.event.chunk_id or stored.event.doc_id)
    for (key, chunk_id), preference in clicks.items():
        if preference.preferred > preference.skipped:
            liked[key].add(chunk_id)
    keys = sorted(spellings)
    links = [
        (pair.first, pair.second)
        for pair in near_duplicates(keys, similarity)
        if liked[keys[pair.first]] & liked[keys[pair.second]]
        and re.findall(r"\d+", keys[pair.first]) == re.findall(r"\d+", keys[pair.second])
    ]
    groups: dict[int, list[str]] = defaultdict(list)
    for place, first in enumerate(components(len(keys), links)):
        groups[first].append(keys[place])
    spelling: dict[str, str] = {}
    merged = []
    for group in groups.values():
        if len(group) > 1:
            counted = sum((spellings[key] for key in group), Counter[str]())
            texts = sorted(counted, key=lambda text: (-counted[text], text))
            spelling |= dict.fromkeys(group, texts[0])
            merged.append(tuple(texts))
    return spelling, tuple(merged)


class _Work:
    """Passages for and against each query while they are collected."""

    def __init__(
        self,
        text_of: TextOf,
        rules: CurationOptions,
        clicks: Mapping[ClickKey, Preference],
        choices: Choices,
        written: Collection[tuple[str, str]],
    ) -> None:
        self._text_of, self._rules, self._clicks, self._choices = text_of, rules, clicks, choices
        self._written = written
        self._typical = choices.typical()
        self._good: dict[str, list[tuple[int, str]]] = {}
        self._bad: dict[str, list[str]] = {}
        self._weak: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._passed: dict[str, list[str]] = defaultdict(list)
        self.dropped: Counter[Message] = Counter()

    def judge(self, judgement: Judgement) -> None:
        """Take in a judgement that stands, when enough voters are behind it."""
        key, name = query_key(judgement.query), judgement.chunk_id
        preference = self._clicks.get((key, name), Preference(0, 0, 0, 0))
        support = judgement.sessions + (preference.preferred // 2 if judgement.grade > 0 else 0)
        if not name:
            self.dropped[reasons.WHOLE_DOCUMENT] += 1
        elif judgement.grade > 0 and (key, name) in self._written:
            self._good.setdefault(key, []).append((judgement.grade, name))
        elif support < self._rules.min_voters:
            self.dropped[reasons.few_voters(self._rules.min_voters)] += 1
        elif judgement.grade > 0 and not self._is_usual(key, name):
            self.dropped[reasons.UNUSUAL] += 1
        elif judgement.grade > 0 and self._choices.share(key, name) <= self._rules.query_share:
            self.dropped[reasons.FEW_CHOSE] += 1
        elif judgement.grade > 0:
            self._good.setdefault(key, []).append((judgement.grade, name))
        elif self._choices.doubt(key, name) > self._rules.doubt:
            self.dropped[reasons.SOME_CHOSE] += 1
        else:
            self._bad.setdefault(key, []).append(name)

    def _is_usual(self, key: str, name: str) -> bool:
        return self._choices.support(key, name) > self._rules.usual_share * self._typical

    def weigh_clicks(self) -> None:
        """Take in what clicks alone say."""
        for (key, name), preference in self._clicks.items():
            chosen = preference.share >= self._rules.click_share and preference.last > preference.rival
            if preference.preferred >= self._rules.click_voters and chosen and not self._is_usual(key, name):
                self.dropped[reasons.UNUSUAL] += 1
            elif preference.preferred >= self._rules.click_voters and chosen:
                self._weak[key].append((preference.preferred, name))
            elif preference.skipped >= self._rules.click_voters and not preference.preferred:
                self._passed[key].append(name)
            else:
                self.dropped[reasons.UNCLEAR_CLICKS] += 1

    def drop_pushed(self) -> None:
        """Take back positives that answer too much."""
        rules = self._rules
        for kept in (self._good, self._weak):
            positives = {key: [name for _, name in found] for key, found in kept.items()}
            pushed = self._choices.pushed(positives, rules.pushed_queries, rules.pushed_share)
            for found in kept.values():
                left = [pair for pair in found if pair[1] not in pushed]
                self.dropped[reasons.PUSHED] += len(found) - len(left)
                found[:] = left

    def examples(self, queries: Mapping[str, str]) -> tuple[Example, ...]:
        """Make the examples."""
        found = []
        for key in dict.fromkeys((*self._good, *self._weak, *self._bad)):
            query = queries[key]
            explicit, weak = self._good.get(key, []), self._weak.get(key, [])
            if not any(character.isalnum() for character in query) or len(query) > self._rules.max_query_chars:
                self.dropped[reasons.NO_QUESTION] += 1
                continue
            good = self._texts([name for _, name in sorted(explicit or weak, key=lambda pair: (-pair[0], pair[1]))])
            if not good:
                self.dropped[reasons.NO_POSITIVE] += 1
                continue
            known = {name for _, name in (*explicit, *weak)}
            against = self._texts(
                [name for name in (*self._bad.get(key, []), *self._passed.get(key, [])) if name not in known]
            )
            row = TrainingRow(
                query,
                tuple(dict.fromkeys(good.values())),
                tuple(t for t in dict.fromkeys(against.values()) if t not in good.values()),
            )
            ids = [*good, *sorted(known - good.keys())]
            if explicit:
                found.append(Example.of(row, origin="feedback", positive_ids=ids, source="feedback log"))
            else:
                weight = self._rules.click_weight
                found.append(Example.of(row, origin="clicks", positive_ids=ids, weight=weight, source="feedback log"))
        return tuple(found)

    def _texts(self, names: Sequence[str]) -> dict[str, str]:
        texts = {name: self._text_of(name) or "" for name in names}
        kept = {name: text for name, text in texts.items() if text.strip()}
        self.dropped[reasons.GONE] += len(texts) - len(kept)
        return kept
