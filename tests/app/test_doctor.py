"""What the doctor says of a tuned reranker; the other checks are tested through the command in `test_cli`."""

from quarry.app.doctor import examine
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.manifest import RerankerFacts
from quarry.indexer.storage.relabel import with_reranker
from tests.retriever.rerankers.test_rerankers import make


def found(index):
    return [check for check in examine(index) if check.name == "reranker"]


def test_a_recorded_reranker_is_looked_at(tmp_path):
    index = tmp_path / "index"
    index_documents(index, [Document("a", "图书馆可以续借两次。")], None)
    assert found(index) == []
    folder = make(index / "models" / "first", "bert")
    facts = RerankerFacts(
        model="tests/own",
        digest=content_digest(folder),
        folder="models/first",
        base="b",
        parent="000001",
        run="first",
        verdict="better",
        forced=False,
        promoted="2026-01-01T00:00:00+00:00",
    )
    with_reranker(
        index,
        facts,
        Message.of("tuning.reranker_promoted", "promoted the reranker"),
        expected=Index.open(index).manifest,
    )
    (sound,) = found(index)
    assert (sound.severity, sound.remedy) == ("ok", "")
    assert str(sound.message) == f"tests/own (run first, revision {facts.digest[:12]}) is unchanged"
    (folder / "config.json").unlink()
    (lost,) = found(index)
    assert lost.severity == "failure"
    assert lost.remedy == f"quarry models rollback {index}"


def test_documents_that_have_become_another_language_are_pointed_out(tmp_path):
    index = tmp_path / "index"
    german = [
        Document(f"d{n}", f"Die Bücher der Bibliothek sind für {n} Wochen verliehen und das ist so.") for n in range(3)
    ]
    index_documents(index, german, None)
    (before,) = [check for check in examine(index) if check.name == "languages"]
    assert (before.severity, str(before.message)) == ("ok", "words are cut by de")
    russian = [Document(f"r{n}", f"Книги из библиотеки выдаются на {n} недели, и это не так.") for n in range(20)]
    index_documents(index, russian, None)
    (after,) = [check for check in examine(index) if check.name == "languages"]
    assert (after.severity, after.remedy) == ("warning", f"quarry index PATH --into {index} --analyzer ru")
    index_documents(index, [], None, BuildOptions(analyzer="ru"))
    (chosen,) = [check for check in examine(index) if check.name == "languages"]
    assert (chosen.severity, str(chosen.message)) == ("ok", "words are cut by ru")
