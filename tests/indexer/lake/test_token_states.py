"""Token states in a lake: its default answer is the index's, second stage included, on a tiny real model."""

import pytest

from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.encode.work import encode_corpus, shard_settings
from quarry.indexer.errors import IndexFormatError, ModelError
from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.lake.keeping import clean, examine
from quarry.indexer.lake.making import make_lake, settings_for
from quarry.indexer.lake.publishing import publish
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder
from quarry.retriever.searcher import Searcher
from tests.fakes import WordEmbedder
from tests.indexer.lake.lakes import SPEC, write_corpus
from tests.training.tiny_model import tiny_model
from tests.training.tuning.second_stage.test_subject import embedder_of

QUESTIONS = ["renew a book", "续借图书", "zzz qqq", "打印机", "library 读者", "qwerty uiop asdf"]


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus", files=12)


def lake_of(place, embedder):
    return make_lake(place, settings_for(embedder, "", SPEC, ReadOptions(), token_states=True))


def test_the_default_answer_is_the_indexs(tmp_path, model, corpus):
    embedder = embedder_of(model)
    lake = lake_of(tmp_path / "lake", embedder)
    add_to_lake(lake, [corpus], embedder)
    publish(lake, embedder)
    build_index(tmp_path / "index", [corpus], embedder, BuildOptions(chunking=SPEC, rerank_vectors=True))
    one, other = (Searcher.open(tmp_path / name, embedder=embedder) for name in ("index", "lake"))
    ran = set()
    for question in QUESTIONS:
        mine, theirs = (searcher.search(question, 10) for searcher in (one, other))
        assert [hit.chunk_id for hit in mine.results] == [hit.chunk_id for hit in theirs.results], question
        scores = [[hit.evidence.rerank for hit in answer.results] for answer in (mine, theirs)]
        assert [rank and rank.rank for rank in scores[0]] == [rank and rank.rank for rank in scores[1]]
        stages = [[(stage.stage, stage.status) for stage in answer.stages] for answer in (mine, theirs)]
        assert stages[0] == stages[1]
        ran |= set(stages[0])
    assert ("rerank", "ran") in ran
    assert not clean(lake, hours=0).generations
    assert all(finding is None for finding in examine(lake))
    assert Searcher.open(tmp_path / "lake", embedder=embedder).search(QUESTIONS[-1], 3).results


def test_states_of_quarry_encode_are_taken_and_those_that_it_lacks_are_made(tmp_path, model, corpus):
    embedder = embedder_of(model)
    for name, states in (("with", True), ("without", False)):
        folder = ShardFolder.create(
            tmp_path / name, shard_settings(embedder, "", SPEC, ReadOptions(), token_states=states)
        )
        encode_corpus([corpus], folder, embedder)
        lake = lake_of(tmp_path / f"lake-{name}", embedder)
        report = add_to_lake(lake, [corpus], embedder, vectors=tmp_path / name)
        assert (report.encoded == 0) is states
        assert report.taken > 0  # without states, the vectors of titles
        publish(lake, embedder)
    one, other = (Searcher.open(tmp_path / f"lake-{name}", embedder=embedder) for name in ("with", "without"))
    for question in QUESTIONS:
        mine, theirs = (searcher.search(question, 10).results for searcher in (one, other))
        assert [hit.chunk_id for hit in mine] == [hit.chunk_id for hit in theirs]


def test_a_model_without_token_states_is_refused_and_a_damaged_projection_named(tmp_path, model, corpus):
    with pytest.raises(ModelError, match="gives no token states"):
        settings_for(WordEmbedder(), "", SPEC, ReadOptions(), token_states=True)
    embedder = embedder_of(model)
    lake = lake_of(tmp_path / "lake", embedder)
    lake.objects.write("projection.safetensors", b"no tensors")
    with pytest.raises(IndexFormatError, match=r"projection.safetensors is damaged"):
        add_to_lake(lake, [corpus], embedder)
