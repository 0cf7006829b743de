"""How a whole search is tuned. Imports no torch."""

from typing import Annotated

from pydantic import Field

from quarry.training.tuning.query_shift.spec import QueryShiftSpec
from quarry.training.tuning.second_stage.spec import SecondStageSpec


class SearchSpec(QueryShiftSpec):
    """One run that learns how questions move, how much BM25 counts, and the second stage's map; on top of `QueryShiftSpec`.

    Attributes:
        second_stage: How the map is learned. It is learned once for every block, so it is one map and not the mean of three, and of the two
            closenesses the one that stays nearer to the plain MaxSim.
        folds: Parts of the questions that are asked with what the others teach, to see whether a part helps; 2 to 20.
    """

    second_stage: SecondStageSpec = SecondStageSpec(closeness=(3.0,), seeds=1)
    folds: Annotated[int, Field(ge=2, le=20)] = 4
