"""Vectors made apart from an index are those that the index would have made, whoever made them and whatever was killed meanwhile."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.build import build_index
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.encode.units import runs, units_of
from quarry.indexer.encode.work import Share, encode_corpus, shard_settings
from quarry.indexer.errors import CorpusError, IndexFormatError, IndexMismatchError, ModelError
from quarry.indexer.opened import Index
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.shards.shard import ShardError
from tests.fakes import WordEmbedder
from tests.training.tiny_model import tiny_model

SPEC = ChunkSpec(64, 16)
DATE = (1_700_000_000, 1_700_000_000)


@pytest.fixture
def corpus(tmp_path):
    """300 small files in both languages and one JSON lines file of 500 documents, of one date: names, sizes and dates bound the units."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rng = random.Random(7)
    words = ["library", "book", "loan", "renew", "printer", "filament", "reader", "fine", "return", "shelf"]
    chars = "图书馆借阅续借到期打印读者规则目录书架归还"
    for number in range(300):
        body = " ".join(rng.choices(words, k=40)) if number % 2 else "".join(rng.choices(chars, k=60))
        (folder / f"{number:03}.md").write_text(f"# Title {number}\n\n{body}\n\n## Part\n\n{body[::-1]}", "utf-8")
    rows = (json.dumps({"_id": f"r{number}", "text": " ".join(rng.choices(words, k=30))}) for number in range(500))
    (folder / "rows.jsonl").write_text("\n".join(rows), "utf-8")
    for file in folder.iterdir():
        os.utime(file, DATE)
    return folder


def folder_for(root: Path, embedder: WordEmbedder, **settings: bool) -> ShardFolder:
    return ShardFolder.create(
        root, shard_settings(embedder, "", SPEC, ReadOptions(), token_states=settings.get("states", False))
    )


def held(folder: ShardFolder) -> Counter[bytes]:
    """How often each passage or title is in the shards."""
    return Counter(digest for shard in folder.shards() for digest in shard.digests)


def answers(index: Path) -> tuple[list[str], np.ndarray]:
    opened = Index.open(index)
    ids = opened.chunks.digests()[0]
    question = WordEmbedder().embed_queries(["renew a book"])
    near = {hit.chunk_id: hit.similarity for hit in opened.vectors.search(question, len(ids))[0]}
    return ids, np.array([near[chunk_id] for chunk_id in ids])


def test_an_index_takes_its_vectors_from_shards_and_encodes_no_passage(tmp_path, corpus):
    maker = WordEmbedder()
    report = encode_corpus([corpus], folder_for(tmp_path / "shards", maker), maker)
    assert report.documents == 800
    assert report.encoded == maker.texts_encoded

    with_shards = WordEmbedder()
    built = build_index(tmp_path / "a", [corpus], with_shards, BuildOptions(vectors=tmp_path / "shards"))
    assert (built.encoded, built.chunks) == (0, report.passages)
    assert built.taken == report.encoded  # passages and titles
    alone = WordEmbedder()
    build_index(tmp_path / "b", [corpus], alone, BuildOptions(chunking=SPEC))
    for (ids, similar), (other_ids, other_similar) in [(answers(tmp_path / "a"), answers(tmp_path / "b"))]:
        assert ids == other_ids
        assert np.allclose(similar, other_similar, atol=1e-6)
    assert Index.open(tmp_path / "a").manifest.probes == Index.open(tmp_path / "b").manifest.probes
    # what is left is the probes' questions, as many in both
    assert alone.texts_encoded - with_shards.texts_encoded == report.encoded


def test_shares_make_together_what_one_worker_makes(tmp_path, corpus):
    one, several = WordEmbedder(), WordEmbedder()
    encode_corpus([corpus], folder_for(tmp_path / "one", one), one)
    folder = folder_for(tmp_path / "several", several)
    units = [encode_corpus([corpus], folder, several, share=Share(number, 3)).units for number in (3, 1, 2)]
    assert sum(units) == len(list(units_of("corpus", corpus, folder.settings.cut_identity, [])))
    assert min(units) > 0
    assert held(folder) == held(ShardFolder.open(tmp_path / "one"))


def test_the_same_command_again_encodes_nothing_and_a_new_file_only_what_is_near_it(tmp_path, corpus):
    embedder = WordEmbedder()
    folder = folder_for(tmp_path / "shards", embedder)
    first = encode_corpus([corpus], folder, embedder)
    again = encode_corpus([corpus], folder, embedder)
    assert (again.encoded, again.kept, again.shards) == (0, first.shards, first.shards)
    (corpus / "150a.md").write_text("# A new one\n\nNothing like it was here before.", "utf-8")
    os.utime(corpus / "150a.md", DATE)
    third = encode_corpus([corpus], folder, embedder)
    assert 0 < third.encoded < first.encoded / 2
    built = build_index(tmp_path / "index", [corpus], embedder, BuildOptions(vectors=folder.root))
    assert built.encoded == 0


def test_passages_that_are_in_no_shard_are_encoded_here(tmp_path, corpus):
    embedder = WordEmbedder()
    folder = folder_for(tmp_path / "shards", embedder)
    encode_corpus([corpus], folder, embedder, share=Share(1, 2))
    built = build_index(tmp_path / "index", [corpus], embedder, BuildOptions(vectors=folder.root))
    assert 0 < built.encoded < built.chunks
    assert built.taken > 0


def test_a_damaged_shard_is_refused_by_name_and_the_same_command_makes_it_again(tmp_path, corpus):
    embedder = WordEmbedder()
    folder = folder_for(tmp_path / "shards", embedder)
    encode_corpus([corpus], folder, embedder)
    data = sorted((folder.root / "vectors").glob("*.safetensors"))[0]
    good = data.read_bytes()
    data.write_bytes(good[:-9] + bytes([good[-9] ^ 4]) + good[-8:])
    with pytest.raises(ShardError, match=data.name):
        build_index(tmp_path / "index", [corpus], embedder, BuildOptions(vectors=folder.root))
    assert not (tmp_path / "index" / "quarry-index.json").exists()
    (folder.root / "vectors" / f"{data.name.split('.')[0]}.json").unlink()  # as the message says
    encode_corpus([corpus], folder, embedder)
    assert build_index(tmp_path / "index", [corpus], embedder, BuildOptions(vectors=folder.root)).encoded == 0


def test_damaged_passages_that_wait_are_named(tmp_path, corpus):
    from quarry.indexer.encode.cut import UnitCutter
    from quarry.indexer.encode.work import cutter_of

    embedder = WordEmbedder()
    folder = folder_for(tmp_path / "shards", embedder)
    cutter = UnitCutter(folder, cutter_of(folder.settings, embedder.tokens, ReadOptions()))
    for unit in units_of("corpus", corpus, folder.settings.cut_identity, []):
        cutter.cut(unit)
    cutter.close()
    spoilt = sorted(folder.passages.iterdir())[0]
    spoilt.write_bytes(spoilt.read_bytes()[:20])
    with pytest.raises(ShardError, match=spoilt.name.split(".")[0]):
        encode_corpus([corpus], folder, embedder)
    spoilt.unlink()
    encode_corpus([corpus], folder, embedder)
    assert build_index(tmp_path / "index", [corpus], embedder, BuildOptions(vectors=folder.root)).encoded == 0


def test_shards_of_another_model_or_passage_length_are_refused(tmp_path, corpus):
    embedder = WordEmbedder()
    folder = folder_for(tmp_path / "shards", embedder)
    encode_corpus([corpus], folder, embedder)
    with pytest.raises(IndexMismatchError, match="model"):
        build_index(tmp_path / "a", [corpus], WordEmbedder("2"), BuildOptions(vectors=folder.root))
    with pytest.raises(IndexMismatchError, match="passage length"):
        build_index(tmp_path / "b", [corpus], embedder, BuildOptions(vectors=folder.root, chunking=ChunkSpec(128, 16)))
    with pytest.raises(IndexMismatchError, match="passage length"):
        ShardFolder.create(
            folder.root, shard_settings(embedder, "", ChunkSpec(128, 16), ReadOptions(), token_states=False)
        )
    assert not (tmp_path / "a" / "quarry-index.json").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, corpus):
    embedder = WordEmbedder()
    with pytest.raises(IndexFormatError, match="no vectors"):
        folder_for(corpus, embedder)
    with pytest.raises(IndexFormatError, match="no vectors"):
        ShardFolder.open(tmp_path / "nowhere")
    assert not (corpus / "vectors").exists()


def test_token_states_need_a_model_that_has_them(tmp_path):
    with pytest.raises(ModelError, match="token states"):
        folder_for(tmp_path / "shards", WordEmbedder(), states=True)


def test_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    embedder = WordEmbedder()
    with pytest.raises(CorpusError, match="no readable document"):
        encode_corpus([tmp_path / "empty"], folder_for(tmp_path / "shards", embedder), embedder)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", ""])
def test_a_share_is_one_of_so_many(text):
    with pytest.raises(ValueError, match="I/N"):
        Share.parse(text)


def test_runs_keep_their_boundaries_when_an_item_comes_in():
    items = [str(number) for number in range(5000)]

    def grouped(items: list[str]) -> list[tuple[str, ...]]:
        from hashlib import sha256

        return [tuple(run) for run in runs(items, lambda one: sha256(one.encode()).digest(), lambda _: 1, 64)]

    before, after = grouped(items), grouped([*items[:2500], "new", *items[2500:]])
    assert [one for run in before for one in run] == items
    assert max(len(run) for run in before) <= 128
    assert len(set(after) - set(before)) <= 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"), "bert")


def quarry(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "quarry", *map(str, arguments)]


def encode_command(corpus: Path, shards: Path, model: Path) -> list[str]:
    return quarry(
        "encode",
        corpus,
        "--into",
        shards,
        "--model",
        model,
        "--chunk-tokens",
        64,
        "--overlap",
        16,
        "--quiet",
        "--device",
        "cpu:float32",
    )


@pytest.mark.slow
def test_a_command_that_is_killed_three_times_ends_with_what_an_undisturbed_one_makes(tmp_path, corpus, model):
    shards, rng = tmp_path / "shards", random.Random(3)
    for kills in range(3):
        process = subprocess.Popen(encode_command(corpus, shards, model), stderr=subprocess.PIPE)
        while len(list((shards / "vectors").glob("*.json"))) <= kills and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.communicate()
    subprocess.run(encode_command(corpus, shards, model), check=True, capture_output=True)
    names = [path.stem for path in (shards / "vectors").glob("*.json")]
    assert len(list((shards / "vectors").glob("*.safetensors"))) == len(names)
    assert not list((shards / "passages").iterdir())
    built = subprocess.run(
        quarry("index", corpus, "--into", tmp_path / "index", "--vectors", shards, "--model", model, "--json", "-q"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(built.stdout)["encoded"] == 0


@pytest.mark.slow
def test_the_commands_say_what_they_did_and_take_token_states(tmp_path, corpus, model):
    shards = tmp_path / "shards"
    command = [*encode_command(corpus, shards, model), "--rerank-vectors", "--json"]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert done["documents"] == 800
    built = subprocess.run(
        quarry("index", corpus, "--into", tmp_path / "index", "--vectors", shards, "--model", model, "-q"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert " 0 passages encoded" in built.stdout
    assert f"{done['encoded']} vectors of passages and titles taken from shards" in built.stdout
    assert Index.open(tmp_path / "index").manifest.token_states
    wrong = subprocess.run([*encode_command(corpus, shards, model), "--shard", "9/8"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "such as 3/8" in wrong.stderr
