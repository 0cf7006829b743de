"""What a run begins with when a folder is not yet a model that can be served: weights from a config, pooling, an end token.

    config.json and a tokenizer, no weights    weights are drawn by the seed: how a family of sizes is begun
    weights, but no pooling                    a language model as it was released: the pooling is added
    a decoder whose tokenizer ends no text     the end token is added, whose state is the vector

All that is written beside the run, in a folder that is a model like any other; the given folder is only read.
"""

import os
import shutil
import time
from json import dumps, loads
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import EmbedderSpec, Pooling
from quarry.indexer.errors import ModelError, TrainingError
from quarry.indexer.models.folder import read_json, stored_id
from quarry.indexer.models.format import model_format, write_profile
from quarry.indexer.models.loading import load_tokenizer, quiet_libraries
from quarry.indexer.models.tokenizer import ModelTokenizer
from quarry.indexer.storage.files.durable import sync_tree
from quarry.training.fit.models.model_folder import TOKENIZER_FILES
from quarry.training.fit.run_folder import START

_PATIENCE = 600  # seconds
ENCODERS = ("bert", "roberta", "xlm-roberta", "camembert")


def started(folder: Path, run: Path, *, pooling: Pooling | None = None, seed: int = 0) -> Path:
    """Return a model folder to begin with: the given one where that is served as it is, else one made of it below the run.

    Args:
        folder: `config.json` and a tokenizer at least.
        run: The run's folder; a folder that was made there before is taken again.
        pooling: How token states become one vector; None keeps the folder's, and where it has none takes `cls` for encoders and
            `last_token` for decoders.
        seed: Draws weights where there are none.

    Raises:
        ModelError: If there is no config or tokenizer, or they do not fit each other.
        TrainingError: If another process was to make it and did not.
    """
    config = read_json(folder / "config.json")
    if not config:
        raise ModelError(
            "fit.no_config",
            "{folder} has no config.json",
            expected="a model folder, or a config with a tokenizer",
            do="Choose another with --model",
            folder=folder,
        )
    made = run / START
    if made.is_dir():
        return made
    weights = any(folder.glob("*.safetensors"))
    if weights and pooling is None and _has_pooling(folder, config):
        return folder
    if int(os.environ.get("RANK", "0")):
        return _made_by_the_first(made)
    part = run / f".{START}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for path in folder.iterdir():
        if path.name in TOKENIZER_FILES or path.name == "config.json":
            shutil.copyfile(path, part / path.name)
    if weights:
        for path in folder.glob("*.safetensors*"):
            _share(path.resolve(), part / path.name)
    else:
        _draw_weights(part, seed)
    chosen: Pooling = pooling or ("cls" if config.get("model_type") in ENCODERS else "last_token")
    tokenizer = load_tokenizer(part, config)
    if chosen == "last_token":
        _end_texts(part, tokenizer)
    known = _known_format(folder, config)
    write_profile(
        part,
        EmbedderSpec(
            model=known.model if known else stored_id(folder, config) or folder.resolve().name,
            revision="",
            dim=int(config["hidden_size"]),
            max_tokens=known.max_tokens if known else _longest(config, tokenizer),
            pooling=chosen,
            query_format=known.query_format if known else "{query}",
            document_format=known.document_format if known else "{text}",
        ),
    )
    sync_tree(part)
    part.rename(made)
    return made


def _share(source: Path, target: Path) -> None:
    """Link a file, or copy it where links are not allowed, as for users of Windows without that right."""
    try:
        target.symlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _made_by_the_first(made: Path) -> Path:
    """Wait for the first of several processes; when that fails, torchrun ends this one too.

    Raises:
        TrainingError: If it takes too long.
    """
    end = time.monotonic() + _PATIENCE
    while not made.is_dir():
        if time.monotonic() > end:
            raise TrainingError(
                "fit.no_start",
                "the first process has not made {folder} in {minutes} minutes",
                expected="the model to begin with",
                do="Run the same command again",
                folder=made,
                minutes=_PATIENCE // 60,
            )
        time.sleep(0.1)
    return made


def _longest(config: dict[str, Any], tokenizer: ModelTokenizer) -> int:
    return min(tokenizer.model_max_length, int(config.get("max_position_embeddings") or 512), 8192)


def _has_pooling(folder: Path, config: dict[str, Any]) -> bool:
    return _known_format(folder, config) is not None


def _known_format(folder: Path, config: dict[str, Any]) -> Any:
    try:
        return model_format(folder, config, stored_id(folder, config))
    except ModelError as err:
        if err.message.code != "models.no_pooling":
            raise
        return None


def _draw_weights(folder: Path, seed: int) -> None:
    import torch
    from transformers import AutoConfig, AutoModel

    generator = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        with quiet_libraries():
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModel.from_config(config)  # type: ignore[no-untyped-call]  # of transformers
            model.save_pretrained(folder)
    finally:
        torch.random.set_rng_state(generator)


def _end_texts(folder: Path, tokenizer: ModelTokenizer) -> None:
    """Let the tokenizer end each text with the end token, where it does not.

    Raises:
        ModelError: If there is no end token.
    """
    backend = tokenizer.backend_tokenizer
    end = tokenizer.eos_token_id
    ids = backend.encode("a").ids
    added = {number for number, token in backend.get_added_tokens_decoder().items() if token.special}
    if ids and ids[-1] in added | ({end} if end is not None else set()):
        return
    if end is None:
        raise ModelError(
            "fit.no_end_token",
            "the tokenizer in {folder} has no end token, and the vector would be the state of a text's last word",
            expected="an eos_token in tokenizer_config.json",
            do="Add one, or give --pooling mean",
            folder=folder,
        )
    from tokenizers.processors import TemplateProcessing

    name = backend.id_to_token(end)
    start = tokenizer.bos_token_id
    first = start is not None and bool(ids) and ids[0] == start
    begin = backend.id_to_token(start) if first and start is not None else None
    around = [token for token in (begin, "$A", name) if token]
    special = [(token, number) for token, number in ((begin, start), (name, end)) if token and number is not None]
    backend.post_processor = TemplateProcessing(
        single=around, pair=[*around, "$B:1", f"{name}:1"], special_tokens=special
    )
    (folder / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
    settings = folder / "tokenizer_config.json"
    if settings.is_file():  # the class's own flags would put the template back
        content = loads(settings.read_text(encoding="utf-8"))
        if {"add_eos_token", "add_bos_token"} & content.keys():
            content["add_eos_token"] = True
            settings.write_text(dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
