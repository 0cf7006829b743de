"""How bge-m3 scores a passage with all three of its representations (arXiv 2402.03216, section 3.2 and 4.1).

    score = dense + 0.3 * sparse + multi-vector

dense is the cosine of the two vectors, sparse the sum over common tokens of the products of their weights, multi-vector the MaxSim of
the vectors that the model's own head gives single tokens. The weights 1, 0.3 and 1 are those that M3 was trained with
(`compute_score` and `ensemble_score` in FlagEmbedding's `finetune/embedder/encoder_only/m3/modeling.py`). FlagEmbedding's
inference takes 1, 1 and 1 when it is given none, and the model card's example 0.4, 0.2 and 0.4: half as much for sparse as for the others.
"""

from dataclasses import dataclass

DENSE_WEIGHT, SPARSE_WEIGHT, MULTI_VECTOR_WEIGHT = 1.0, 0.3, 1.0


@dataclass(frozen=True, slots=True)
class M3Score:
    """The three similarities of a query and a passage.

    Attributes:
        dense: Cosine, in [-1, 1].
        sparse: At least 0.
        multi_vector: Mean of cosines, in [-1, 1].
    """

    dense: float
    sparse: float
    multi_vector: float

    @property
    def total(self) -> float:
        """Their weighted sum.

        Example:
            >>> round(M3Score(0.6, 0.2, 0.5).total, 2)
            1.16
        """
        return DENSE_WEIGHT * self.dense + SPARSE_WEIGHT * self.sparse + MULTI_VECTOR_WEIGHT * self.multi_vector
