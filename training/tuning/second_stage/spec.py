"""How the second stage is tuned. Imports no torch."""

from typing import Annotated

from pydantic import Field

from quarry.training.fit.settings import Settings


class SecondStageSpec(Settings):
    """One run that tunes the second stage.

    None of the values was chosen by looking at a set that is reported on: they are those of the experiment in docs/second_stage.md.

    Attributes:
        epochs: Passes over the queries, 1 to 100.
        batch_size: Queries per step, 2 to 1024.
        learning_rate: Peak, 1e-5 to 0.1; it falls to 0 by a cosine.
        negatives: Candidates beside the positive, the best of the fused ranking, 1 to 49.
        depth: Candidates of a query, as in a search; 2 to 200.
        closeness: Weights of the squared distance to the plain MaxSim, both as z-scores, each at least 0. One map is learned with
            each, and the queries choose.
        gains: Weights of the tuned MaxSim to choose from, each at least 0; 0 leaves the second stage as it is.
        folds: Parts of the queries that are judged by maps learned from the others, 2 to 20.
        seeds: Maps of which the mean is taken, 1 to 20.
        seed: Order of the queries, of the first map; 0 to 2**31 - 1.
    """

    epochs: Annotated[int, Field(ge=1, le=100)] = 6
    batch_size: Annotated[int, Field(ge=2, le=1024)] = 16
    learning_rate: Annotated[float, Field(ge=1e-5, le=0.1)] = 3e-3
    negatives: Annotated[int, Field(ge=1, le=49)] = 15
    depth: Annotated[int, Field(ge=2, le=200)] = 50
    closeness: tuple[Annotated[float, Field(ge=0)], ...] = (0.3, 3.0)
    gains: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0)
    folds: Annotated[int, Field(ge=2, le=20)] = 4
    seeds: Annotated[int, Field(ge=1, le=20)] = 3
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
