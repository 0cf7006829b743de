"""The projection of a model: shipped for the model of the offline bundle, else fitted on a fixed bilingual text.

Either way it depends on the model alone, so every index of one model has the same, whatever it holds.
"""

import gzip
import json
from importlib.resources import files

import numpy as np

from quarry.demo_corpus import general_path
from quarry.indexer.embedder import TokenEmbedder, TokenVectors, heads_of
from quarry.indexer.tokens.projection import Projection

# Made by `python -m quarry.training.recipes.token_projection`; half precision, 0.2 MB
SHIPPED = {"intfloat/multilingual-e5-small": "multilingual-e5-small.safetensors"}
_PASSAGES = 96  # half Chinese, half English: about 12,000 tokens, 31 for each of 384 dimensions
_CHARACTERS = 400  # of each


def projection_for(embedder: TokenEmbedder) -> Projection:
    """Return the shipped projection of a model, or fit one: a few seconds for a small model on two cores."""
    name = None if heads_of(embedder) else SHIPPED.get(embedder.spec.model)
    return shipped_projection(name) if name else fitted_projection(embedder)


def shipped_projection(name: str) -> Projection:
    """Read a projection of this package."""
    return Projection.from_bytes(files(__package__).joinpath(name).read_bytes())


def fitted_projection(embedder: TokenEmbedder) -> Projection:
    """Encode paragraphs of XQuAD (the general set that ships with Quarry) and take the principal components of their tokens."""
    with gzip.open(general_path() / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [str(json.loads(line)["text"]) for line in lines]
    sample = [text[:_CHARACTERS] for text in texts[:: max(1, len(texts) // _PASSAGES)]]
    found: dict[int, TokenVectors] = {}
    embedder.embed_documents_and_tokens(sample, found.__setitem__)
    states = np.concatenate([found[number] for number in sorted(found)])
    states /= np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-12)
    return Projection.fitted(states, centered=not heads_of(embedder))
