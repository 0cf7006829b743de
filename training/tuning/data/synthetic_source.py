"""Queries by a language model as a source of a tuning run: passages drawn, the cost said first, answers kept, pairs filtered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import ModelError
from quarry.indexer.language import language_of, length_in_words
from quarry.indexer.lexical.detection import languages_in
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.training.examples.corpus_pairs import PairOptions, pair_scores
from quarry.training.examples.example import Example
from quarry.training.examples.kept_answers import KeptAnswers
from quarry.training.examples.reasons import UNRELATED, Counts, counted
from quarry.training.examples.synthetic import (
    UNANSWERED,
    SyntheticSpec,
    prompt_for,
    synthetic_examples,
)
from quarry.training.synthesis.personas import draw_personas
from quarry.training.tuning.plan import SyntheticSource, TuningObserver

ANSWERS = "synthetic.jsonl"
ENOUGH = 0.5  # of the passages must have been answered when the endpoint falls silent, for what it wrote to be used


@dataclass(frozen=True, slots=True)
class SyntheticExamples:
    """What a language model gave: examples, and counts of what was left out by reason."""

    examples: tuple[Example, ...]
    dropped: Counts


def examples_by_language_model(
    index: Index, embedder: Embedder, source: SyntheticSource, seed: int, folder: Path, watch: TuningObserver
) -> SyntheticExamples:
    """Have queries written for passages of the index, and leave out those that the model finds unrelated to their passage.

    Args:
        index: Its passages are sent.
        embedder: Its model, for the filter.
        source: How many passages, and the endpoint.
        seed: Seed of the draw and the personas.
        folder: The run's folder; answers are kept there, in `ANSWERS`.
        watch: Receives progress events, the cost first.

    Raises:
        ModelError: If the endpoint refuses requests, or answered too few to be used. What it wrote is kept.
        TrainingError: If the personas cannot be read, or there are none.
    """
    drawn = draw_personas(source.personas, source.passages, seed).names if source.personas else ()
    spec = SyntheticSpec(seed=seed, personas=tuple(drawn))
    passages = _drawn(index, source.passages, seed)
    answers = KeptAnswers(folder / ANSWERS)
    watch.stage(_cost(passages, source, spec, answers))
    watch.phase("asking", len(passages))
    found = synthetic_examples(passages, source.endpoint, spec, progress=watch.advance, kept=answers)
    answered = found.asked - sum(found.dropped.get(reason, 0) for reason in UNANSWERED)
    if answered < ENOUGH * len(passages):
        why = found.stopped or counted({reason: found.dropped.get(reason, 0) for reason in UNANSWERED})
        raise ModelError(
            "tuning.endpoint_silent",
            "the endpoint fell silent: {answered} of {count} passages were answered ({why})",
            expected="at least {enough:.0%}",
            do="What it wrote is kept: resume with --run {run}, or leave --synthetic out",
            answered=answered,
            count=len(passages),
            why=why,
            enough=ENOUGH,
            run=folder.name,
        )
    if answered < len(passages):
        watch.stage(
            Message.of(
                "tuning.endpoint_partly",
                "the endpoint did not answer all; what it wrote for {answered} of {count} passages is used",
                answered=answered,
                count=len(passages),
            )
        )
    watch.stage(
        Message.of("tuning.filtering", "filtering {count} synthetic queries by the model", count=len(found.examples))
    )
    kept = _related(found.examples, embedder, seed)
    unlike = {UNRELATED: len(found.examples) - len(kept)}
    return SyntheticExamples(kept, {**found.dropped, **unlike})


def _drawn(index: Index, count: int, seed: int) -> list[tuple[str, str]]:
    """Draw (chunk id, text) of passages that are long enough to be asked for, each text once."""
    ids, digests = index.chunks.digests()
    single = list({digest: name for name, digest in zip(ids, digests, strict=True)}.values())
    drawn: list[tuple[str, str]] = []
    for place in np.random.default_rng(seed).permutation(len(single)):
        name = single[place]
        (text,) = index.chunks.texts([name])
        known = language_of(text) != "other" or languages_in([text])
        if known and length_in_words(text) >= PairOptions().passage_words:
            drawn.append((name, text))
        if len(drawn) == count:
            break
    return drawn


def _cost(
    passages: Sequence[tuple[str, str]], source: SyntheticSource, spec: SyntheticSpec, answers: KeptAnswers
) -> Message:
    prompts = [prompt_for(passage, spec) for passage in passages]
    open_ones = [prompt for prompt in prompts if answers.get(source.endpoint.model, prompt) is None]
    host = urlsplit(source.endpoint.url).hostname
    return Message.of(
        "tuning.cost",
        "{calls} calls to {model} at {host}, {characters} characters sent, at most {tokens} tokens back; {kept} answers are kept "
        "from before",
        calls=len(open_ones),
        model=source.endpoint.model,
        host=host or "",
        characters=sum(map(len, open_ones)),
        tokens=len(open_ones) * source.endpoint.max_tokens,
        kept=len(prompts) - len(open_ones),
    )


def _related(examples: Sequence[Example], embedder: Embedder, seed: int) -> tuple[Example, ...]:
    """Leave out examples whose query is no more similar to its passage than to others', as for mined pairs."""
    if len(examples) < 2:
        return tuple(examples)
    pairs = [(example.row.query, example.row.pos[0]) for example in examples]
    scores, unrelated = pair_scores(pairs, embedder, seed)
    threshold = float(np.quantile(unrelated, PairOptions().random_quantile))
    return tuple(example for example, score in zip(examples, scores, strict=True) if score >= threshold)
