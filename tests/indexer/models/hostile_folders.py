"""Model folders that are made to run code, to fill memory or to crash a library.

python -m tests.indexer.models.hostile_folders FOLDER    loads each in this process, within limits; one line of JSON per folder
"""

import json
import pickle
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.memory import peak_mb

MEMORY = 12 << 30  # address space of the process that loads them: torch alone takes four
SECONDS = 60


def _json(name: str, **changes: Any) -> Callable[[Path], None]:
    """Change keys of a JSON file of a folder, or make one of them."""

    def change(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**content, **changes}))

    return change


def _text(name: str, content: str | bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def _tokenizer(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        change(content)
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return write


def _all(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


class _Bomb:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.mark),)


def _code(folder: Path) -> None:
    (folder / "code.py").write_text(f"open({str(mark_of(folder))!r}, 'w').close()\nclass Model: ...\n")
    _json(
        "config.json", auto_map={"AutoModel": "code.Model", "AutoConfig": "code.Model", "AutoTokenizer": "code.Model"}
    )(folder)
    (folder / "quarry.json").unlink()


def _pickled_only(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb(str(mark_of(folder)))))


def _dense_pickle(folder: Path) -> None:
    modules = [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        {"type": "sentence_transformers.models.Dense", "path": "2_Dense"},
    ]
    _text("modules.json", json.dumps(modules))(folder)
    _json_at(folder / "1_Pooling" / "config.json", pooling_mode_mean_tokens=True)
    _json_at(folder / "2_Dense" / "config.json", in_features=32, out_features=32)
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb(str(mark_of(folder)))))


def _wide_dense(folder: Path) -> None:
    _dense_pickle(folder)
    _json_at(folder / "2_Dense" / "config.json", in_features=1_000_000, out_features=1_000_000)
    shutil.copy(folder / "model.safetensors", folder / "2_Dense" / "model.safetensors")


def _json_at(path: Path, **content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def _modules(*paths: Any) -> Callable[[Path], None]:
    kinds = [{"type": "sentence_transformers.models.Pooling", "path": path} for path in paths]
    return _text("modules.json", json.dumps(kinds))


def _index(weights: Any) -> Callable[[Path], None]:
    return _text("model.safetensors.index.json", json.dumps({"weight_map": weights}))


def mark_of(folder: Path) -> Path:
    """Return the file that is there once code of a folder has run."""
    return folder.parent / f"{folder.name}.ran"


_DEEP = "[" * 200_000 + "]" * 200_000
HOSTILE: dict[str, Callable[[Path], None]] = {
    "own code": _code,
    "pickled weights only": _pickled_only,
    "a pickled dense layer": _dense_pickle,
    "a dense layer of 10^12": _wide_dense,
    "an adapter": _json("adapter_config.json", peft_type="LORA", base_model_name_or_path="../elsewhere"),
    "a kernel from elsewhere": _json("config.json", attn_implementation="evil/kernel"),
    "10^6 layers": _json("config.json", num_hidden_layers=1_000_000),
    "10^9 layers": _json("config.json", num_hidden_layers=10**9),
    "a huge hidden size": _json("config.json", hidden_size=1_000_000_000),
    "a large hidden size": _json("config.json", hidden_size=65_536),
    "a huge vocabulary": _json("config.json", vocab_size=2**31),
    "a large vocabulary": _json("config.json", vocab_size=10_000_000),
    "many positions": _json("config.json", max_position_embeddings=2**40),
    "more positions than weights": _json("config.json", max_position_embeddings=16_000_000),
    "many kinds of tokens": _json("config.json", type_vocab_size=2**31),
    "a wide inner layer": _json("config.json", intermediate_size=4_000_000),
    "a negative size": _json("config.json", hidden_size=-1),
    "no heads": _json("config.json", num_attention_heads=0),
    "heads that do not divide": _json("config.json", num_attention_heads=5),
    "a vocabulary in words": _json("config.json", vocab_size="abc"),
    "layers as a list": _json("config.json", num_hidden_layers=[2]),
    "a hidden size as a fraction": _json("config.json", hidden_size=32.5),
    "positions in words": _json("config.json", max_position_embeddings="many"),
    "true for a number": _json("config.json", num_hidden_layers=True),
    "an unknown architecture": _json("config.json", model_type="evil"),
    "an architecture as a list": _json("config.json", model_type=["bert"]),
    "an activation from elsewhere": _json("config.json", hidden_act="__import__('os').system"),
    "a config of deep arrays": _text("config.json", _DEEP),
    "a config that is a list": _text("config.json", "[]"),
    "a config that is no text": _text("config.json", b"\xff\xfe{}"),
    "modules elsewhere": _modules("../../../../etc"),
    "modules at a root": _modules("/etc"),
    "modules that are texts": _text("modules.json", '["a", "b"]'),
    "modules as an object": _text("modules.json", '{"type": "a"}'),
    "modules of deep arrays": _text("modules.json", _DEEP),
    "a module of another library": _text("modules.json", '[{"type": "os.system", "path": "a"}]'),
    "a module's path as a number": _modules(7),
    "a profile of numbers": _json("quarry.json", query_format=7),
    "a profile without room": _json("quarry.json", max_tokens=0),
    "a profile with a text for a length": _json("quarry.json", max_tokens="300"),
    "a profile with another pooling": _json("quarry.json", pooling="exec"),
    "a profile without a slot": _json("quarry.json", document_format="no slot"),
    "a profile that repeats": _json("quarry.json", document_format="{text}" * 100_000),
    "weights elsewhere": _index({"a": "../../secret.safetensors"}),
    "pickles in the index of weights": _index({"a": "pytorch_model.bin"}),
    "an index of weights as a list": _index(["a"]),
    "weights cut": lambda folder: _text("model.safetensors", (folder / "model.safetensors").read_bytes()[:5_000])(
        folder
    ),
    "weights with a huge header": _text("model.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
    "weights that overlap": _text(
        "model.safetensors",
        (96).to_bytes(8, "little")
        + b'{"a":{"dtype":"F32","shape":[1000000000,1000000000],"data_offsets":[0,4]}}'.ljust(96)
        + bytes(4),
    ),
    "weights that are a pickle": _text("model.safetensors", pickle.dumps(list(range(1000)))),
    "a tokenizer of deep arrays": _text("tokenizer.json", _DEEP),
    "a tokenizer that is a list": _text("tokenizer.json", "[]"),
    "a tokenizer without a model": _tokenizer(lambda content: content.pop("model")),
    "a charsmap that panics": _tokenizer(
        lambda content: content.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "/////w=="})
    ),
    "a template with an unknown token": _tokenizer(
        lambda content: content.update(
            post_processor={
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[EVIL]", "type_id": 0}}],
                "pair": [],
                "special_tokens": {},
            }
        )
    ),
    "a pattern that explodes": _tokenizer(
        lambda content: content.update(
            normalizer={"type": "Replace", "pattern": {"Regex": "(((a{1,1000}){1,1000}){1,1000})"}, "content": ""}
        )
    ),
    "a tokenizer with another vocabulary": _tokenizer(
        lambda content: content["model"].update(vocab={"[UNK]": 0, **{f"t{n}": n for n in range(1, 50_000)}})
    ),
    "special tokens of numbers": _all(_json("tokenizer_config.json", pad_token=7, cls_token=["a"])),
    "a length in words": _json("tokenizer_config.json", model_max_length="long"),
}


def load(folder: Path) -> dict[str, Any]:
    """Load a folder and compute one vector; returns how it ended."""
    from quarry.indexer.errors import ModelError
    from quarry.indexer.models.encoder import load_embedder
    from quarry.indexer.models.source import resolve_model

    began = time.monotonic()
    try:
        source = resolve_model(str(folder))
        assert source is not None
        load_embedder(source.folder, model_id=source.model, device="cpu").embed_documents(["怎么修理 the printer"])
        ended, said = "loaded", ""
    except ModelError as err:
        ended, said = "refused", str(err)
    except BaseException as err:  # noqa: BLE001 (what must not happen is told)
        ended, said = type(err).__name__, str(err)[:300]
    return {"ended": ended, "said": said, "seconds": time.monotonic() - began, "peak_mb": peak_mb()}


def _late(*_: object) -> None:
    raise TimeoutError("it took too long")


def main() -> None:
    """Load every folder."""
    from tests.training.tiny_model import tiny_model

    root = Path(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _late)
    for number, (name, change) in enumerate({"a sound one": lambda _: None, **HOSTILE}.items()):
        folder = root / f"model{number}"
        if number:
            shutil.copytree(root / "model0", folder)
        else:
            tiny_model(folder)
        change(folder)
        signal.alarm(SECONDS)
        found = load(folder)
        signal.alarm(0)
        print(json.dumps({"name": name, "ran": mark_of(folder).exists(), **found}), flush=True)


if __name__ == "__main__":
    main()
