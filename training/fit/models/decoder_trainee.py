"""A decoder reranker as a run sees it: opened from a language model, fed with pairs, written so that it can be served."""

from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np

from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.models.batching import by_length, token_batches
from quarry.indexer.models.folder import check_folder
from quarry.indexer.models.format import PROFILE_NAME
from quarry.indexer.models.loading import load_tokenizer, quiet_libraries
from quarry.indexer.storage.files.durable import write_atomic
from quarry.retriever.rerankers.decoder import PairLayout, PairTokens, decoder_pairs, padded_left
from quarry.retriever.rerankers.layerwise import HEADS, OwnReranker
from quarry.training.examples.row import NO_INSTRUCTION
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.models.model_folder import tuned_name, write_beside
from quarry.training.fit.models.reranker_trainee import RerankerTrainee, card, name_of
from quarry.training.fit.models.trainable import own_device, with_lora
from quarry.training.fit.rows.batches import Draw
from quarry.training.fit.rows.collation import PairCollator
from quarry.training.fit.spec import RERANKER_PROMPTS, RerankerSpec


def asked_prompt(spec: RerankerSpec, row: TrainingRow | None = None) -> str:
    """Return the question after a pair: the row's own, else that of the settings."""
    given = spec.prompt if row is None or row.prompt in ("", NO_INSTRUCTION) else row.prompt
    return RERANKER_PROMPTS.get(given, given)


class DecoderTrainee(RerankerTrainee):
    """See `quarry.training.fit.loop.steps.Trainee`."""

    def __init__(self, folder: Path, rows: Sequence[TrainingRow], spec: RerankerSpec, device: str) -> None:
        from quarry.training.fit.models.decoder_reranker import DecoderScores

        config = check_folder(folder)
        self._folder, self._rows, self._spec = folder, rows, spec
        self._tokenizer = load_tokenizer(folder, config)
        self._candidates = PairCollator(rows, spec, self._tokenizer)
        self._layerwise = spec.head == "layerwise"
        self._own = OwnReranker(
            kind="layerwise" if self._layerwise else "decoder",
            prompt=asked_prompt(spec),
            max_tokens=spec.max_tokens,
            start_layer=spec.start_layer if self._layerwise else int(config["num_hidden_layers"]),
            compress=spec.compress if self._layerwise else (1,),
            compress_layers=(spec.compress_layer,) if self._layerwise else (),
        )
        self._layout = PairLayout.of(self._tokenizer, self._own.profile(""))
        self.base = name_of(folder, config)
        self._whole, heads = self._opened()
        _check_depths(spec, int(config["num_hidden_layers"]), layerwise=self._layerwise)
        body = self._whole if self._layerwise else self._whole.model
        if spec.lora is not None:
            self._adapted = with_lora(body, spec.lora)
            body = self._adapted.get_base_model()
        elif spec.freeze_embeddings:
            body.get_input_embeddings().requires_grad_(False)
        self.model = DecoderScores(body, heads, spec).to(own_device(device))

    def _opened(self) -> tuple[Any, dict[int, Any]]:
        """Return the model and the rows that score, by depth."""
        import torch
        from transformers import AutoModel, AutoModelForCausalLM

        local = {"local_files_only": True, "use_safetensors": True, "dtype": torch.float32}
        with quiet_libraries():
            if self._layerwise:
                body: Any = AutoModel.from_pretrained(self._folder, **local)
                size, count = int(body.config.hidden_size), int(body.config.num_hidden_layers)
                scale = size**-0.5
                return body, {n: torch.randn(1, size) * scale for n in range(self._spec.start_layer, count + 1)}
            whole: Any = AutoModelForCausalLM.from_pretrained(self._folder, **local)
        yes = self._tokenizer.ids("Yes")
        if len(yes) != 1 or yes[0] == self._tokenizer.unk_token_id:
            raise ModelError(
                "fit.no_yes",
                "the tokenizer in {folder} does not have the word Yes as one token",
                expected="a language model that has, or head = layerwise",
                do="Choose another with --model, or set head",
                folder=self._folder,
            )
        self._yes = yes[0]
        row = whole.get_output_embeddings().weight[self._yes : self._yes + 1].detach()
        return whole, {int(whole.config.num_hidden_layers): row}

    def trainer(self, arguments: Mapping[str, Any], callback: Any) -> Any:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        from quarry.training.fit.loop.trainer import PlannedDecoderTrainer

        return PlannedDecoderTrainer.of(arguments, self.model, callback)

    def collate(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        import torch

        from quarry.training.fit.models.decoder_reranker import drawn_ratio

        found = self._candidates.texts(draws)
        pairs: list[PairTokens] = []
        for draw, texts in zip(draws, found.texts, strict=True):
            row = self._rows[draw.row]
            layout = self._layout.asking(self._tokenizer, asked_prompt(self._spec, row))
            pairs += decoder_pairs(layout, row.query, texts)
        order = sorted(range(len(pairs)), key=lambda number: -len(pairs[number].ids))
        place = np.empty(len(pairs), dtype=np.int64)
        place[order] = np.arange(len(pairs))
        batch = padded_left([pairs[number] for number in order], self._tokenizer.padding, "cpu")
        return batch._asdict() | {
            "table": torch.from_numpy(np.where(found.table < 0, -1, place[found.table])),
            "teacher": torch.from_numpy(found.teacher),
            "ratio": torch.tensor(drawn_ratio(self._spec, draws[0].epoch, draws[0].row)),
        }

    def _scores(self, query: str, passages: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        import torch

        pairs = decoder_pairs(self._layout, query, passages)
        lengths = [len(pair.ids) for pair in pairs]
        out = np.empty(len(pairs), dtype=np.float32)
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                for batch in token_batches(lengths, by_length(lengths), self._spec.token_budget):
                    read = padded_left([pairs[row] for row in batch], self._tokenizer.padding, str(self.model.device))
                    out[batch] = self.model.logits(read, 1, self.model.depths[-1:])[0].cpu().numpy()
        finally:
            self.model.train(was_training)
        return out

    def write(self, folder: Path, digest: str, record: Mapping[str, Any]) -> None:
        """See `quarry.training.fit.loop.steps.Trainee`."""
        import torch
        from safetensors.torch import save_file

        if self._spec.lora is not None:
            self._adapted.merge_and_unload()
        if not self._layerwise:
            head = self._whole.get_output_embeddings()
            if head.weight is self._whole.get_input_embeddings().weight:
                head.weight = torch.nn.Parameter(head.weight.detach().clone())
                self._whole.config.tie_word_embeddings = False
            with torch.no_grad():
                head.weight[self._yes] = self.model.heads[str(self.model.depths[-1])][0]
        self._whole.save_pretrained(folder)
        if self._layerwise:
            heads = {f"head.{depth}": row.detach().to("cpu").contiguous() for depth, row in self.model.heads.items()}
            save_file(heads, folder / HEADS)
        name = tuned_name(self.base, digest)
        write_beside(folder, self._folder, {**record, "model": name}, card(name, self._spec, record))
        profile = {"model": name, "reranker": self._own.as_json()}
        write_atomic(folder / PROFILE_NAME, dumps(profile, ensure_ascii=False, indent=1).encode())


def _check_depths(spec: RerankerSpec, count: int, *, layerwise: bool) -> None:
    """Check that the depths are in the model.

    Raises:
        SettingsError: If one is not.
    """
    compressing = layerwise and max(spec.compress) > 1
    wanted = max(spec.start_layer, spec.compress_layer + 1 if compressing else 1)
    if layerwise and (spec.start_layer > count or wanted > count):
        raise SettingsError(
            "fit.depths",
            "start_layer is {start} and compress_layer {compress}, and the model has {count:layer|layers}",
            expected="both within it, compress_layer before the last",
            do="Set them",
            start=spec.start_layer,
            compress=spec.compress_layer,
            count=count,
        )
