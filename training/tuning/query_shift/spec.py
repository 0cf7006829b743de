"""How the query shift is learned. Imports no torch."""

from typing import Annotated

from pydantic import Field

from quarry.training.fit.settings import Settings


class QueryShiftSpec(Settings):
    """One run that learns how questions move.

    Attributes:
        strength: Length of the step, 0.1 to 10; how it was chosen is in docs/tuning.md.
        temperature: Of the softmax over similarities, 0.005 to 1; near that of the offline model's own training.
        negatives: Passages beside the right one, the nearest ones, 1 to 100.
        first: Share of the questions that are learned from before the first is judged, 0.1 to 0.9.
        blocks: Parts of the others that are judged one after the other, 1 to 100.
        seed: Order of the questions, 0 to 2**31 - 1.
    """

    strength: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    temperature: Annotated[float, Field(ge=0.005, le=1)] = 0.02
    negatives: Annotated[int, Field(ge=1, le=100)] = 15
    first: Annotated[float, Field(ge=0.1, le=0.9)] = 0.2
    blocks: Annotated[int, Field(ge=1, le=100)] = 4
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
