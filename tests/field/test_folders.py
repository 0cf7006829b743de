"""Folders that have two paths are indexed once; folders that are gone, and single documents, can be taken out again."""

import json
import shutil
import subprocess
import sys

import pytest

from quarry.indexer import (
    Document,
    Selection,
    build_index,
    find_documents,
    index_documents,
    list_roots,
    remove_documents,
)
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import CorpusError, UnknownFilter, UnknownRoot
from quarry.indexer.opened import Index


@pytest.fixture
def index(tmp_path):
    return tmp_path / "index"


def folder(tmp_path, name, **files):
    made = tmp_path / name
    made.mkdir(parents=True)
    for stem, text in files.items():
        (made / f"{stem}.txt").write_text(text, encoding="utf-8")
    return made


def doc_ids(index):
    return Index.open(index).chunks.doc_ids()


def test_a_folder_that_a_link_leads_to_is_the_same_folder(tmp_path, index):
    real = folder(tmp_path, "harbour", tide="The tide gate closes at dusk.")
    (tmp_path / "link").symlink_to(real)
    build_index(index, [real], None)
    (real / "tide.txt").write_text("The tide gate closes at nine.")
    assert build_index(index, [tmp_path / "link"], None).changed == 1
    assert doc_ids(index) == ["harbour/tide.txt"]
    assert [root.path for root in list_roots(index)] == [str(real)]


def test_two_names_of_a_folder_in_one_run_count_once(tmp_path, index):
    real = folder(tmp_path, "harbour", tide="The tide gate closes at dusk.")
    (tmp_path / "link").symlink_to(real)
    report = build_index(index, [tmp_path / "link", real, tmp_path / "harbour" / ".." / "harbour"], None)
    assert (report.documents, len(list_roots(index))) == (1, 1)


def test_a_link_above_the_folder_makes_no_copies_either(tmp_path, index):
    folder(tmp_path, "real/harbour/north", tide="The tide gate closes at dusk.")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    build_index(index, [tmp_path / "link" / "harbour" / "north"], None)
    build_index(index, [tmp_path / "real" / "harbour"], None)  # around it
    assert doc_ids(index) == ["harbour/north/tide.txt"]
    build_index(index, [tmp_path / "link" / "harbour" / "north"], None)  # inside of it
    assert Index.open(index).manifest.documents == 1


def test_a_link_to_a_file_beside_it_makes_no_copy(tmp_path, index):
    real = folder(tmp_path, "harbour", tide="The tide gate closes at dusk.")
    (real / "latest.txt").symlink_to("tide.txt")
    report = build_index(index, [real], None)
    assert doc_ids(index) == ["harbour/tide.txt"]
    assert [str(skip.detail) for skip in report.skipped] == ["another name of tide.txt, which is read under its own"]


def test_a_link_that_is_turned_to_another_folder_keeps_its_documents_in_step(tmp_path, index):
    first, second = folder(tmp_path, "v1", tide="Old timetable."), folder(tmp_path, "v2", tide="New timetable.")
    current = tmp_path / "current"
    current.symlink_to(first)
    build_index(index, [current], None)
    current.unlink()
    current.symlink_to(second)
    assert build_index(index, [current], None).changed == 1
    assert [document.text for document in Index.open(index).chunks.documents()] == ["New timetable."]


def test_a_folder_that_is_gone_is_named_and_can_be_taken_out(tmp_path, index):
    kept = folder(tmp_path, "kept", a="alpha beacon")
    gone = folder(tmp_path, "gone", b="bravo lantern", c="charlie buoy")
    build_index(index, [kept, gone], None)
    shutil.rmtree(gone)
    assert [(root.prefix, root.there, root.documents) for root in list_roots(index)] == [
        ("gone", False, 2),
        ("kept", True, 1),
    ]
    with pytest.raises(CorpusError, match="does not exist any more; its documents are still in the index"):
        build_index(index, [gone], None)
    found = find_documents(index, Selection(roots=(str(gone),)))
    assert (found.doc_ids, found.returning) == (("gone/b.txt", "gone/c.txt"), 0)
    assert doc_ids(index) == ["gone/b.txt", "gone/c.txt", "kept/a.txt"]  # nothing was changed
    assert remove_documents(index, Selection(roots=("gone",)), None).removed == 2
    assert doc_ids(index) == ["kept/a.txt"]
    assert [root.prefix for root in list_roots(index)] == ["kept"]


def test_allow_empty_takes_a_folder_out_that_is_gone(tmp_path, index):
    kept, gone = folder(tmp_path, "kept", a="alpha beacon"), folder(tmp_path, "gone", b="bravo lantern")
    build_index(index, [kept, gone], None)
    shutil.rmtree(gone)
    report = build_index(index, [gone], None, BuildOptions(allow_empty=True))
    assert (report.removed, [root.prefix for root in list_roots(index)]) == (1, ["kept"])
    with pytest.raises(CorpusError, match="does not exist; expected"):
        build_index(index, [tmp_path / "never"], None, BuildOptions(allow_empty=True))


def test_a_folder_without_documents_is_taken_out_too(tmp_path, index):
    kept, empty = folder(tmp_path, "kept", a="alpha beacon"), folder(tmp_path, "empty")
    build_index(index, [kept, empty], None)
    report = remove_documents(index, Selection(roots=("empty",)), None)
    assert (report.switched, [root.prefix for root in list_roots(index)]) == (True, ["kept"])


def test_documents_are_taken_out_by_id_and_by_filter(tmp_path, index):
    real = folder(tmp_path, "docs", a="alpha beacon", b="bravo lantern")
    build_index(index, [real], None)
    index_documents(index, [Document("note", "charlie buoy", "", {"team": "甲"}), Document("memo", "delta quay")], None)
    found = find_documents(index, Selection(doc_ids=("docs/a.txt", "nothing"), filters={"team": ["甲"]}))
    assert (found.doc_ids, found.not_found, found.returning) == (("docs/a.txt", "note"), ("nothing",), 1)
    assert remove_documents(index, Selection(("docs/a.txt", "nothing"), {"team": ["甲"]}), None).removed == 2
    assert doc_ids(index) == ["docs/b.txt", "memo"]
    assert build_index(index, [real], None).added == 1  # its file is still there, as was said


def test_an_empty_selection_takes_nothing_out(tmp_path, index):
    build_index(index, [folder(tmp_path, "docs", a="alpha beacon")], None)
    assert find_documents(index, Selection(filters={})).doc_ids == ()
    report = remove_documents(index, Selection(), None)
    assert (report.removed, report.switched) == (0, False)


def test_what_is_not_in_the_index_is_named(tmp_path, index):
    build_index(index, [folder(tmp_path, "docs", a="alpha beacon")], None)
    with pytest.raises(UnknownRoot, match=r"not made from elsewhere; expected one of docs \("):
        find_documents(index, Selection(roots=("elsewhere",)))
    with pytest.raises(UnknownFilter, match="colour"):
        find_documents(index, Selection(filters={"colour": ["red"]}))


def test_the_command_lists_folders_and_takes_out_after_a_dry_run(tmp_path, index):
    build_index(index, [folder(tmp_path, "docs", a="alpha beacon"), folder(tmp_path, "old", b="bravo lantern")], None)
    shutil.rmtree(tmp_path / "old")

    def quarry(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "quarry", "index", *map(str, arguments)], capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr

    code, shown, _ = quarry(index, "--list-roots")
    assert (code, [line.split()[:4] for line in shown.splitlines()[1:]]) == (
        0,
        [["docs", "1", "1", "yes"], ["old", "1", "1", "gone"]],
    )
    code, shown, _ = quarry("--into", index, "--remove-root", tmp_path / "old", "--dry-run")
    assert (code, shown.splitlines()[0]) == (0, f"{index}: 1 document would be removed")
    assert len(doc_ids(index)) == 2
    code, shown, _ = quarry(index, "--remove-root", "old", "--json")
    assert (code, json.loads(shown)["doc_ids"], json.loads(shown)["removed"]) == (0, ["old/b.txt"], 1)
    code, shown, said = quarry(index, "--remove", "docs/a.txt", "--remove", "nothing")
    assert (code, shown.splitlines()[0]) == (0, f"{index}: 1 document removed, generation 000003")
    assert "no document has the id nothing" in said
    assert "come back" in said
    assert doc_ids(index) == []
    for wrong in ((index, tmp_path, "--list-roots"), (index, "--dry-run"), (index, "--remove-root", "nowhere")):
        assert quarry(*wrong)[0] == 2
