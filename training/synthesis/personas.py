"""People in whose name instructions are asked for: six of each language, or a file such as Persona Hub's (arXiv 2406.20094)."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.errors import CorpusError, TrainingError
from quarry.retriever.data.text_lines import numbered_lines
from quarry.training.examples.synthetic import PERSONAS_EN, PERSONAS_ZH

_FIELDS = ("persona", "input persona", "input_persona", "text")
_LONGEST = 2_000  # characters


@dataclass(frozen=True, slots=True)
class Personas:
    """Personas that were drawn.

    Attributes:
        names: Who they are, in random order.
        read: How many the file has.
        bad: Lines that are none.
    """

    names: Sequence[str]
    read: int = 0
    bad: int = 0


def built_in(language: str) -> Personas:
    """Return the six personas of a language; those in English for any but Chinese."""
    return Personas(PERSONAS_ZH if language == "zh" else PERSONAS_EN)


def draw_personas(path: Path, count: int, seed: int = 0) -> Personas:
    """Draw up to `count` personas uniformly out of a file that is read once and not kept (reservoir sampling).

    Args:
        path: JSON lines with a field `persona`, or JSON strings, or plain lines.
        count: How many are wanted.
        seed: Of the draw.

    Raises:
        TrainingError: If the file cannot be read or has no persona.
    """
    draw, kept, read, bad = random.Random(seed), list[str](), 0, 0
    try:
        for _, line in numbered_lines(path):
            persona = _persona(line)
            if not persona:
                bad += 1
                continue
            read += 1
            if len(kept) < count:
                kept.append(persona)
            elif (place := draw.randrange(read)) < count:
                kept[place] = persona
    except CorpusError as err:
        raise TrainingError.of(err.message) from err
    if not kept:
        raise TrainingError(
            "synthesis.no_persona",
            "{path} has no persona",
            expected="JSON lines {form}",
            do="Give another file, or leave --personas out for the built-in ones",
            path=path,
            form='{"persona": text}',
        )
    draw.shuffle(kept)
    return Personas(kept, read, bad)


def _persona(line: str) -> str:
    text = line.strip()
    if text.startswith(("{", '"', "[")):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        if isinstance(value, dict):
            value = next((value[name] for name in _FIELDS if isinstance(value.get(name), str)), "")
        text = value if isinstance(value, str) else ""
    return " ".join(text.split())[:_LONGEST].rstrip(".。")
