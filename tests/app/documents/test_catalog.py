"""The list of documents, one document, its original file, and what was skipped: library, command and HTTP."""

import json
import os

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.cli.exits import exit_code
from quarry.app.documents.catalog import UnknownDocument, list_documents, show_document
from quarry.app.documents.originals import NoOriginal, find_original, read_original
from quarry.app.documents.skips import list_skips
from quarry.indexer.build import index_documents
from quarry.indexer.errors import UnknownFilter
from quarry.indexer.records import Document

FILM = "1\n00:00:01,000 --> 00:00:02,000\nOpen the lock.\n\n2\n00:01:30,000 --> 00:01:32,000\n" + "Shut it again. " * 60


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "docs"
    (made / "sub").mkdir(parents=True)
    (made / "pumps.md").write_text("# Pumps\n\n" + "The winch is oiled every spring. " * 120, encoding="utf-8")
    (made / "sub" / "闸门 #1.txt").write_text("闸门每年检修两次。", encoding="utf-8")
    (made / "film.srt").write_text(FILM, encoding="utf-8")
    (made / "page.html").write_text("<nav>Home</nav><p>Berths</p>")
    (made / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    return made


@pytest.fixture
def index(folder, tmp_path):
    target = tmp_path / "ix"
    run("index", str(folder), "--into", str(target), "--model", "none", "-q")
    index_documents(target, [Document("note-1", "by a program", "Note", {"lang": "en"})], None)
    return target


def run(*arguments, code=0):
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == code, done.output
    return done.output


def test_the_list_says_what_each_document_is(index):
    listing = list_documents(index)
    documents = {document.id: document for document in listing.documents}
    assert listing.total == 5
    assert list(documents) == sorted(documents)
    gate = documents["docs/sub/闸门 %231.txt"]
    assert (gate.format, gate.language, gate.bytes, gate.passages, gate.uploaded) == ("txt", "zh", 27, 1, False)
    assert gate.modified
    assert documents["docs/page.html"].left_out == {"menus": 1}
    note = documents["note-1"]
    assert (note.bytes, note.source, note.modified, note.title) == (None, "", "", "Note")


def test_the_list_is_paged_and_takes_conditions_and_words(index):
    def ids(index, filters, words):
        return tuple(document.id for document in list_documents(index, filters=filters, words=words).documents)

    assert [len(list_documents(index, start=start, count=2).documents) for start in (0, 2, 4, 6)] == [2, 2, 1, 0]
    assert ids(index, {"format": "html"}, "") == ("docs/page.html",)
    assert ids(index, None, "PUMPS") == ("docs/pumps.md",)
    assert ids(index, {"format": "html"}, "pumps") == ()
    with pytest.raises(UnknownFilter):
        list_documents(index, filters={"colour": "red"})


def test_a_document_has_its_passages_as_they_were_cut(index, folder):
    shown = show_document(index, "docs/pumps.md")
    text = (folder / "pumps.md").read_text()
    assert len(shown.passages) == shown.document.passages > 1
    assert all(passage.text == text[passage.start : passage.end] for passage in shown.passages)
    assert {passage.heading for passage in shown.passages} == {"Pumps"}
    assert show_document(index, "docs/film.srt").passages[0].time == "0:00:01"
    with pytest.raises(UnknownDocument):
        show_document(index, "docs/other.md")


def test_an_original_is_the_file_itself(index, folder):
    original = find_original(index, "docs/sub/闸门 %231.txt")
    assert (original.name, read_original(original)) == ("闸门 #1.txt", (folder / "sub" / "闸门 #1.txt").read_bytes())


@pytest.mark.parametrize("wanted", ["docs/../secret", "/etc/passwd", "docs/sub"])
def test_a_path_is_no_document(index, wanted):
    with pytest.raises(UnknownDocument):
        find_original(index, wanted)


def test_a_document_of_a_program_has_no_original(index):
    with pytest.raises(NoOriginal, match="came from no folder"):
        find_original(index, "note-1")


def test_a_file_that_was_replaced_by_a_link_out_of_its_folder_is_refused(index, folder, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (folder / "pumps.md").unlink()
    (folder / "pumps.md").symlink_to(secret)
    with pytest.raises(NoOriginal, match="leaves the indexed folder"):
        find_original(index, "docs/pumps.md")


def test_a_folder_that_was_replaced_by_a_link_is_refused(index, folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "闸门 #1.txt").write_text("secret")
    (folder / "sub" / "闸门 #1.txt").unlink()
    (folder / "sub").rmdir()
    (folder / "sub").symlink_to(outside)
    with pytest.raises(NoOriginal, match="leaves the indexed folder"):
        find_original(index, "docs/sub/闸门 %231.txt")


def test_a_link_that_appears_after_the_look_is_refused(index, folder, tmp_path):
    original = find_original(index, "docs/pumps.md")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "pumps.md").unlink()
    (folder / "pumps.md").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(NoOriginal):
        read_original(original)


def test_an_index_from_elsewhere_gives_out_no_file_of_this_machine_whose_content_it_did_not_have(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "key.txt").write_text("what its maker guessed")
    (home / "note.txt").write_text("what its maker wrote")
    index = tmp_path / "ix"
    run("index", str(home), "--into", str(index), "--model", "none", "-q")  # as one made elsewhere for these paths
    (home / "key.txt").write_text("a secret of this user.")  # as many bytes
    with pytest.raises(NoOriginal, match="does not hold what was indexed"):
        read_original(find_original(index, "home/key.txt"))
    (home / "key.txt").write_text("a longer secret of this user")
    with pytest.raises(NoOriginal, match="does not hold what was indexed"):
        find_original(index, "home/key.txt")
    assert read_original(find_original(index, "home/note.txt")) == b"what its maker wrote"


def test_a_page_of_a_site_whose_menus_were_left_out_is_handed_over(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    menu = "".join(f"<p>Menu entry number {number} of the harbor</p>" for number in range(6))
    for number in range(6):
        (site / f"{number}.html").write_text(f"<title>{number}</title>{menu}<p>The text of page {number} alone.</p>")
    index = tmp_path / "ix"
    run("index", str(site), "--into", str(index), "--model", "none", "-q")
    assert "Menu entry" not in show_document(index, "site/3.html").passages[0].text
    assert read_original(find_original(index, "site/3.html")) == (site / "3.html").read_bytes()


def test_a_pipe_in_place_of_a_file_is_refused_at_once(index, folder):
    (folder / "pumps.md").unlink()
    os.mkfifo(folder / "pumps.md")
    with pytest.raises(NoOriginal, match="regular file"):
        find_original(index, "docs/pumps.md")


def test_skipped_files_are_remembered_until_they_are_read(index, folder):
    (skip,) = list_skips(index)
    assert (skip.source, skip.reason) == (str(folder / "old.doc"), "unsupported format")
    (folder / "old.doc").unlink()
    run("index", str(folder), "--into", str(index), "--model", "none", "-q")
    assert list_skips(index) == ()


def test_skips_of_other_folders_stay(index, folder, tmp_path):
    other = tmp_path / "docs-2"
    other.mkdir()
    (other / "a.txt").write_text("harbor")
    run("index", str(other), "--into", str(index), "--model", "none", "-q")
    assert [skip.source for skip in list_skips(index)] == [str(folder / "old.doc")]


def test_a_damaged_note_of_skips_is_no_obstacle(index):
    (index / "skipped.json").write_text("{")
    assert list_skips(index) == ()


def test_the_command_lists_shows_and_names_what_was_skipped(index, folder):
    listed = run("documents", str(index))
    assert "docs/pumps.md" in listed
    assert "1 menu of a page" in listed
    assert "1 skipped; --skipped lists them" in listed
    assert "old.doc: unsupported format" in run("documents", str(index), "--skipped")
    assert "1 to 2 of 5" in run("documents", str(index), "-n", "2")
    shown = run("documents", str(index), "docs/film.srt")
    assert "[1/" in shown
    assert "0:00:01" in shown
    assert run("documents", str(index), "--filter", "format=html").count("docs/") == 1


def test_the_command_writes_json(index):
    answer = json.loads(run("documents", str(index), "--json", "--name", "note"))
    assert (answer["total"], answer["documents"][0]["id"], answer["skipped"][0]["reason"]) == (
        1,
        "note-1",
        "unsupported format",
    )
    assert json.loads(run("documents", str(index), "note-1", "--json"))["passages"][0]["text"] == "by a program"


def test_the_command_refuses_an_unknown_document_as_wrong_usage(index):
    assert exit_code(lambda: cli(["documents", str(index), "x"])) == 2
