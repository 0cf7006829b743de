"""What training is set to when nobody says otherwise, by where it runs.

On a processor time and memory are short: the table of token embeddings stays (in a multilingual model most of the weights, read
and not computed with), one hard negative beside those of the batch, texts cut at 128 tokens, no dropout (one pass over the pairs
overfits little, and attention without dropout is fused), and a higher rate because there are few steps.
`python -m tests.benchmarks.tuning` was run with these; on a GPU `TrainSpec`'s defaults hold.
"""

from training.train_spec import LossSpec, RerankerSpec, TrainSpec


def train_preset(*, reranker: bool, device: str, seed: int = 0) -> TrainSpec:
    """Return the settings for a device, `cpu` or `cuda`."""
    if reranker:
        return RerankerSpec(seed=seed)
    if device != "cpu":
        return TrainSpec(seed=seed)
    return TrainSpec(
        seed=seed,
        freeze_embeddings=True,
        dropout=0.0,
        learning_rate=5e-5,
        max_query_tokens=48,
        max_passage_tokens=128,
        loss=LossSpec(hard_negatives=1),
    )
