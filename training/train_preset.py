"""What training is set to when nobody says otherwise, by where it runs.

On a processor time and memory are short: the table of token embeddings stays (in a multilingual model most of the weights, read
and not computed with), two hard negatives beside those of the batch, texts cut at 128 tokens, no dropout (one pass over the
pairs overfits little, and attention without dropout is fused), and a higher rate because there are few steps. The temperature
is 0.01, with which E5 and C-Pack's models were trained: at 0.02 the loss goes on pushing apart what the model tells apart already.
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
        learning_rate=3e-5,
        max_query_tokens=48,
        max_passage_tokens=128,
        loss=LossSpec(temperature=0.01, hard_negatives=2),
    )
