"""Whether an index is watched is told while somebody watches, and no longer."""

from quarry.app.watched import WatchNote, watched
from tests.app.cli.watched_folders import kept, wait_for


def test_an_index_is_watched_from_its_first_build_until_the_end(tmp_path):
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    (docs / "斑马.md").write_text("# 斑马\n\n斑马在图书馆续借。", encoding="utf-8")
    assert watched(index) is None
    with kept(index, docs) as heard:
        wait_for(lambda: heard.rounds)
        found = watched(index)
        assert found is not None
        assert (found.folders, found.generation) == ((str(docs),), "000001")
        (docs / "new.txt").write_text("nine to five", encoding="utf-8")
        wait_for(lambda: len(heard.rounds) == 2)
        assert watched(index).generation == "000002"
    assert watched(index) is None
    assert not (index / "watch.json").exists()


def test_a_note_of_a_process_that_died_is_not_believed_and_the_first_watcher_is_told(tmp_path):
    first = WatchNote(tmp_path, [tmp_path / "a"])
    first.built("000001")
    second = WatchNote(tmp_path, [tmp_path / "b"])
    second.built("000002")
    assert watched(tmp_path).folders == (str(tmp_path / "a"),)
    second.close()
    assert watched(tmp_path) is not None, "the first still watches"
    first._lock.release()  # as the kernel does when a process dies
    assert watched(tmp_path) is None
    (tmp_path / "watch.json").write_text("[]", encoding="utf-8")
    assert watched(tmp_path) is None
