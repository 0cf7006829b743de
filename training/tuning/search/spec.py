"""How a whole search is tuned. Imports no torch."""

from typing import Annotated

from pydantic import Field

from quarry.training.tuning.query_shift.spec import QueryShiftSpec
from quarry.training.tuning.second_stage.spec import SecondStageSpec


class SearchSpec(QueryShiftSpec):
    """One run that learns how questions move, how much BM25 counts, and the second stage's map; on top of `QueryShiftSpec`.

    Attributes:
        second_stage: How the map is learned: one map and not the mean of three, because it is learned once for every block.
        folds: Parts of the questions that are asked with what the others teach, to see whether a part helps; 2 to 20.
    """

    second_stage: SecondStageSpec = SecondStageSpec(seeds=1)
    folds: Annotated[int, Field(ge=2, le=20)] = 4
