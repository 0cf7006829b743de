"""A cross-encoder as a run sees it: the rows that train an embedder, read as pairs."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.models.batching import by_length, token_batches
from quarry.indexer.models.folder import check_folder, read_json, stored_id
from quarry.indexer.models.format import PROFILE_NAME
from quarry.indexer.models.loading import load_tokenizer
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.rerankers.cross_encoder import pair_tokens
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.dev_score import CUTOFF, DevSet
from quarry.training.fit.loop.processes import shared_rows
from quarry.training.fit.models.model_folder import dev_words, tuned_name, write_beside
from quarry.training.fit.models.trainable import own_device
from quarry.training.fit.rows.batches import Draw
from quarry.training.fit.rows.collation import PairCollator, padded_pairs
from quarry.training.fit.spec import RerankerSpec

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_DEV_CANDIDATES = 30  # passages scored per dev query: its judged and its hard ones, then others by id


class RerankerTrainee:
    """A reranker as a run sees it."""

    what = "reranker"

    def __init__(self, folder: Path, rows: Sequence[TrainingRow], spec: RerankerSpec, device: str) -> None:
        config = check_folder(folder)
        if spec.lora is not None:
            raise SettingsError(
                "fit.lora_of_classifier",
                "lora is set, and {folder} is trained as a cross-encoder",
                expected="a decoder, with head yes or layerwise",
                do="Leave lora out, or choose a language model",
                folder=folder,
            )
        self._folder = folder
        self._spec = spec
        self._tokenizer = load_tokenizer(folder, config)
        self._backend = self._tokenizer.copy()
        self._collator = PairCollator(rows, spec, self._tokenizer)
        self.base = name_of(folder, config)
        self.model: Any = _open(folder, config, spec, device)

    def trainer(self, arguments: Mapping[str, Any], callback: Any) -> Any:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        from quarry.training.fit.loop.trainer import PairLoss, PlannedRerankerTrainer

        return PlannedRerankerTrainer.of(arguments, PairLoss(self.model, self._spec), callback)

    def collate(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        return self._collator(draws)

    def score(self, dev: DevSet) -> float:
        """Return nDCG@10 of each dev query's judged passages among its hard ones and others, `_DEV_CANDIDATES` at least."""
        ids = sorted(dev.passages)
        judged = [
            n for n, query in enumerate(dev.queries) if any(g > 0 for g in dev.qrels.get(query.query_id, {}).values())
        ]

        def value(number: int) -> float:
            query = dev.queries[number]
            grades = dev.qrels[query.query_id]
            start = number * _DEV_CANDIDATES % len(ids)
            known = {*grades, *dev.hard.get(query.query_id, ())}
            candidates = dict.fromkeys([*sorted(known), *ids[start:], *ids[:start]])
            shown = sorted(islice(candidates, max(len(known), _DEV_CANDIDATES)))
            scores = self._scores(query.text, [dev.passages[doc_id] for doc_id in shown])
            return ndcg([shown[place] for place in np.argsort(-scores, kind="stable")], grades, CUTOFF)

        def values(places: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
            return np.array([[value(judged[place])] for place in places])

        return float(np.mean(shared_rows(range(len(judged)), values)))  # the processes of a run share the queries out

    def _scores(self, query: str, passages: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        import torch

        pairs = pair_tokens(self._backend, self._spec.max_tokens, query, passages)
        lengths = [len(ids) for ids, _ in pairs]
        out = np.empty(len(pairs), dtype=np.float32)
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                for batch in token_batches(lengths, by_length(lengths), self._spec.token_budget):
                    piece = padded_pairs([pairs[row] for row in batch], self._tokenizer)
                    moved = {name: value.to(self.model.device) for name, value in piece.items()}
                    out[batch] = self.model(moved)["scores"].view(-1).float().cpu().numpy()
        finally:
            self.model.train(was_training)
        return out

    def write(self, folder: Path, digest: str, record: Mapping[str, Any]) -> None:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        inner: Any = self.model[0].model
        inner.save_pretrained(folder)
        name = tuned_name(self.base, digest)
        write_beside(folder, self._folder, {**record, "model": name}, card(name, self._spec, record))


def name_of(folder: Path, config: dict[str, Any]) -> str:
    """Return the name of a model: as Quarry wrote it, else the id that the folder carries, else the folder's own name."""
    own = read_json(folder / PROFILE_NAME).get("model") or read_json(folder / "training.json").get("model")
    return str(own or stored_id(folder, config) or folder.name)


def _open(folder: Path, config: dict[str, Any], spec: RerankerSpec, device: str) -> "CrossEncoder":
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer

    labels = len(config.get("id2label") or ()) or int(config.get("num_labels", 2))
    classifies = any(str(entry).endswith("ForSequenceClassification") for entry in config.get("architectures") or [])
    if classifies and labels != 1:
        raise ModelError(
            "fit.labels",
            "{folder} classifies into {labels} labels",
            expected="one relevance logit, or an encoder without a head",
            folder=folder,
            labels=labels,
        )
    local = {"local_files_only": True}
    transformer = Transformer(
        str(folder),
        transformer_task="sequence-classification",
        processor_kwargs=dict(local),
        config_kwargs={**local, "num_labels": 1},
        model_kwargs={**local, "dtype": torch.float32, "use_safetensors": True},
    )
    model: CrossEncoder = CrossEncoder(modules=[transformer], device=own_device(device))
    inner: Any = transformer.model
    if inner.config.pad_token_id is None:
        raise ModelError(
            "fit.no_padding",
            "{folder} has no padding token",
            expected="one in config.json, or pairs cannot be batched",
            folder=folder,
        )
    if spec.freeze_embeddings:
        inner.get_input_embeddings().requires_grad_(False)
    if spec.dropout is not None:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = spec.dropout
    return model


def card(name: str, spec: RerankerSpec, record: Mapping[str, Any]) -> str:
    """Return the text of README.md."""
    measured = dev_words(record, f" over about {_DEV_CANDIDATES} candidates each")
    return f"""---
library_name: sentence-transformers
pipeline_tag: text-ranking
tags: [sentence-transformers, cross-encoder, reranker, quarry]
---
# {name}

A reranker with one logit, tuned from `{record["base"]["model"]}` (revision `{record["base"]["revision"]}`) on
{record["rows"]} rows (digest `{record["rows_digest"]}`), {record["steps"]} steps, pairs of at most {spec.max_tokens} tokens.

{measured}

Settings and digests are in `training.json`.
"""
