"""A layerwise reranker that `quarry train --stage reranker` made: any decoder of transformers, with one scoring head per depth.

Its folder holds the decoder without a head, `heads.safetensors`, and in `quarry.json` what `OwnReranker` says.
"""

from copy import copy
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import read_json
from quarry.indexer.models.format import PROFILE_NAME
from quarry.indexer.models.forward.precision import Compute
from quarry.indexer.models.loading import load_weights
from quarry.indexer.models.profiles import RerankerProfile
from quarry.retriever.rerankers.depth import DepthError, PairBatch, checked_compression, last_state, last_states

if TYPE_CHECKING:
    from torch import Tensor

HEADS = "heads.safetensors"


@dataclass(frozen=True, slots=True)
class OwnReranker:
    """What a trained decoder reranker records of itself.

    Attributes:
        kind: `decoder` (the logit of `Yes`) or `layerwise`.
        prompt: The question at the end of each pair.
        max_tokens: Of query and passage together.
        start_layer: The first depth with a head.
        compress: Ratios that it was trained with.
        compress_layers: Before which layers passages are compressed.
    """

    kind: Literal["decoder", "layerwise"]
    prompt: str
    max_tokens: int
    start_layer: int = 0
    compress: tuple[int, ...] = (1,)
    compress_layers: tuple[int, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """Read it from a model folder; None where there is none.

        Raises:
            ModelError: If it lacks a field.
        """
        content = read_json(folder / PROFILE_NAME).get("reranker")
        if not isinstance(content, dict):
            return None
        try:
            known: dict[str, Any] = {field.name: content[field.name] for field in fields(cls)}
        except KeyError as err:
            raise ModelError(
                "rerankers.damaged_profile",
                "{path} lacks the key {key}",
                expected="what `quarry train --stage reranker` writes",
                do="Copy the model again",
                path=folder / PROFILE_NAME,
                key=str(err),
            ) from err
        lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        return cls(**{**known, **lists})

    def as_json(self) -> dict[str, Any]:
        """Return what is written into the folder."""
        return asdict(self)

    def profile(self, model: str) -> RerankerProfile:
        """Return it as the profile of a known reranker."""
        return RerankerProfile(model, self.kind, 0, "", self.max_tokens, self.prompt)


class LayerwiseDecoder:
    """The first layers of a layerwise reranker and the head of the last of them.

    Args:
        folder: The model folder.
        own: What it records of itself.
        layers: How many layers are run; None runs all.
        where: Device and precision.
        ratio: Tokens of a passage that become one.

    Raises:
        DepthError: If the cutoff has no head, or the ratio is not one that it was trained with.
    """

    def __init__(self, folder: Path, own: OwnReranker, layers: int | None, where: Compute, ratio: int) -> None:
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoModel

        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        count = int(config.num_hidden_layers)
        wanted = count if layers is None else layers
        self._folder, self._own = folder, own
        self._set(wanted, ratio, count)
        self._loaded = wanted
        config.num_hidden_layers = wanted
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:wanted]
        self._where = where
        self._model = load_weights(AutoModel, folder, device=where.device, precision=where.precision, config=config)
        heads = load_file(folder / HEADS)
        self._heads = {name: head.float().to(where.device) for name, head in heads.items()}

    def at(self, cutoff_layers: int | None, compress: int | None) -> Self:
        """See `quarry.retriever.rerankers.depth.Adjustable`; at most the layers that were loaded."""
        found = copy(self)
        found._set(cutoff_layers or self._layers, compress or self._compression.ratio, self._loaded)
        return found

    def _set(self, layers: int, ratio: int, count: int) -> None:
        if not self._own.start_layer <= layers <= count:
            raise DepthError(
                "rerankers.cutoff_heads",
                "the layer cutoff is {layers}",
                expected="{first} to {count}, the layers with a head",
                layers=layers,
                first=self._own.start_layer,
                count=count,
            )
        if ratio not in self._own.compress:
            raise DepthError(
                "rerankers.untrained_ratio",
                "the compression is {ratio}, and {model} was trained with {ratios}",
                expected="one of these",
                do="Leave the compression out",
                ratio=ratio,
                model=self._folder,
                ratios=self._own.compress,
            )
        self._layers = layers
        self._compression = checked_compression(str(self._folder), ratio, self._own.compress_layers, layers)

    def __call__(self, batch: PairBatch) -> "Tensor":
        """Return the logit at the last position, shape (rows,), float32."""
        with self._where.products():
            if self._compression.ratio > 1 or self._layers < self._loaded:
                (last,) = last_states(self._model, batch, [self._layers], self._compression)
            else:
                last = last_state(self._model, batch)
        logits: Tensor = last.float() @ self._heads[f"head.{self._layers}"][0]
        return logits
