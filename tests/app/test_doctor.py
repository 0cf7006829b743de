"""What the doctor says of a tuned reranker; the other checks are tested through the command in `test_cli`."""

import os
import shutil

from quarry.app.doctor import examine
from quarry.app.server.writing.inbox import INBOX_NAME, Inbox
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.space import Space
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from tests.fakes import WordEmbedder
from tests.retriever.rerankers.recorded import record_reranker


def found(index):
    return [check for check in examine(index) if check.name == "reranker"]


def test_a_recorded_reranker_is_looked_at(tmp_path):
    index = tmp_path / "index"
    index_documents(index, [Document("a", "图书馆可以续借两次。")], None)
    assert found(index) == []
    folder, facts = record_reranker(index, "bert")
    (sound,) = found(index)
    assert (sound.severity, sound.remedy) == ("ok", "")
    assert str(sound.message) == f"tests/own (run first, revision {facts.digest[:12]}) is unchanged"
    weights = folder / "model.safetensors"
    content, stat = bytearray(weights.read_bytes()), weights.stat()
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a disk that loses a bit: no new time
    (flipped,) = found(index)
    assert flipped.severity == "failure" and "was changed" in str(flipped.message)
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


def test_damaged_judgements_are_named(tmp_path):
    index = tmp_path / "index"
    index_documents(index, [Document("a", "图书馆可以续借两次。")], None)
    with FeedbackLog.open(feedback_path(index)) as log:
        log.append(FeedbackEvent("续借", "thumb_up", "s", "000001", "a#0-9", "a"))
        log.append(FeedbackEvent("借书", "thumb_up", "s", "000001", "a#0-9", "a"))
    (sound,) = [check for check in examine(index) if check.name == "feedback"]
    assert (sound.severity, str(sound.message)) == ("ok", "2 judgements are whole")
    content = feedback_path(index).read_bytes().replace("续借".encode(), "续贷".encode())
    feedback_path(index).write_bytes(content)
    (damaged,) = [check for check in examine(index) if check.name == "feedback"]
    assert damaged.severity == "failure" and "row 1 of the feedback log was changed" in str(damaged.message)


def test_a_log_that_judges_documents_of_another_index_is_pointed_out(tmp_path):
    for name in ("mine", "other"):
        index_documents(tmp_path / name, [Document(f"{name}{n}", f"text {n} of {name}") for n in range(9)], None)
    with FeedbackLog.open(feedback_path(tmp_path / "other")) as log:
        for n in range(9):
            log.append(FeedbackEvent(f"text {n}", "thumb_up", "s", "000001", f"other{n}#0-9", f"other{n}"))
    (right,) = [check for check in examine(tmp_path / "other") if check.name == "feedback"]
    assert (right.severity, str(right.message)) == ("ok", "9 judgements are whole")
    shutil.copy(feedback_path(tmp_path / "other"), feedback_path(tmp_path / "mine"))
    (wrong,) = [check for check in examine(tmp_path / "mine") if check.name == "feedback"]
    assert wrong.severity == "warning"
    assert "9 of the 9 documents that were judged are not in this index" in str(wrong.message)


def test_damaged_texts_that_wait_to_be_indexed_are_named(tmp_path):
    index = tmp_path / "index"
    index_documents(index, [Document("a", "图书馆可以续借两次。")], None)
    inbox = Inbox.open(index)
    job = inbox.put_documents([Document("b", "waiting text of the library")])
    live = [check for check in examine(index) if check.name == "inbox"]  # while a server has it open
    inbox.close()
    closed = [check for check in examine(index) if check.name == "inbox"]
    for (sound,) in (live, closed):
        assert (sound.severity, str(sound.message)) == ("ok", "1 waiting request is whole")
    path = index / INBOX_NAME
    path.write_bytes(path.read_bytes().replace(b"waiting text", b"waiting test"))
    (changed,) = [check for check in examine(index) if check.name == "inbox"]
    assert changed.severity == "failure" and f"the texts of {job.id} do not match" in str(changed.message)
    path.write_bytes(path.read_bytes()[:5000])
    (cut,) = [check for check in examine(index) if check.name == "inbox"]
    assert cut.severity == "failure" and "inbox.sqlite are damaged" in str(cut.message)


def test_the_bytes_of_an_index_are_shared_out_to_what_they_are(tmp_path):
    index = tmp_path / "index"
    documents = [Document(f"d{n}", f"Renew book {n} twice 续借 {n}", f"Title {n}") for n in range(40)]
    index_documents(index, documents, WordEmbedder())
    manifest = Index.open(index).manifest
    parts = Space.of(index, manifest)
    assert parts.vectors + parts.texts + parts.words + parts.titles == manifest.bytes
    (segment,) = (index / "segments").iterdir()
    assert parts.words == sum(path.stat().st_size for path in (segment / "lexical").iterdir())
    assert parts.texts > (segment / "chunks.sqlite").stat().st_size > 0
    assert parts.vectors > 4 * WordEmbedder().spec.dim * 40
    (disk,) = [check for check in examine(index) if check.name == "disk"]
    assert disk.severity == "ok"
    assert f"vectors {parts.vectors / 1e6:.1f}, texts {parts.texts / 1e6:.1f}, words" in str(disk.message)
