"""What training is set to when nobody says otherwise, by where it runs.

On a processor time and memory are short: the table of token embeddings stays (in a multilingual model most of the weights, read
and not computed with), two hard negatives beside those of the batch, texts cut at 128 tokens, no dropout (one pass over the
pairs overfits little, and attention without dropout is fused), and a higher rate because there are few steps. The temperature
is 0.01, with which E5 and C-Pack's models were trained: at 0.02 the loss goes on pushing apart what the model tells apart already.
For a reranker on a processor the table stays and dropout is off as well. `python -m tests.benchmarks.tuning` was run with these,
and `python -m tests.benchmarks.reranker_tuning`; on a GPU the defaults of `TrainSpec` and `RerankerSpec` hold.
"""

from quarry.training.fit.spec import LossSpec, RerankerSpec, TrainSpec


def train_preset(*, reranker: bool, device: str, seed: int = 0) -> TrainSpec:
    """Return the settings for a device, `cpu` or `cuda`."""
    if reranker and device != "cpu":
        return RerankerSpec(seed=seed)
    if reranker:
        return RerankerSpec(seed=seed, freeze_embeddings=True, dropout=0.0)
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
