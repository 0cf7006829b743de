"""What is set where nobody says."""

from quarry.training.fit.spec import RerankerSpec, TrainSpec, train_preset


def test_a_processor_is_spared_and_a_gpu_gets_the_defaults():
    cpu = train_preset(reranker=False, device="cpu", seed=3)
    assert (cpu.freeze_embeddings, cpu.dropout, cpu.loss.hard_negatives, cpu.seed) == (True, 0.0, 2, 3)
    assert cpu.max_passage_tokens < TrainSpec().max_passage_tokens
    assert train_preset(reranker=False, device="cuda:1") == TrainSpec()
    assert train_preset(reranker=True, device="cuda", seed=2) == RerankerSpec(seed=2)
    assert train_preset(reranker=True, device="cpu", seed=2) == RerankerSpec(
        seed=2, freeze_embeddings=True, dropout=0.0
    )
