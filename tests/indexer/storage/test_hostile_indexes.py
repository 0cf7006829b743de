"""Index folders from elsewhere, whole by their own checksums: refused in words, and nothing outside of them is read, written or removed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import AccessError
from quarry.indexer.records import Document
from quarry.indexer.stores.lance.table import check_place
from tests import ROOT
from tests.fakes import WordEmbedder
from tests.indexer.storage.hostile_indexes import KINDS
from tests.indexer.writing import DIM

HARMLESS = {"a text that is a number", "a passage behind its text", "an option from elsewhere"}
CASES = [(store, name) for store, changes in KINDS.items() for name in changes]


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    for needed in ("faiss", "lancedb"):
        pytest.importorskip(needed)
    command = [sys.executable, "-m", "tests.indexer.storage.hostile_indexes", str(tmp_path_factory.mktemp("hostile"))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert "panicked" not in done.stderr, done.stderr[-2000:]
    return {(told["store"], told["name"]): told for told in map(json.loads, done.stdout.splitlines())}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("store", sorted(KINDS))
def test_the_index_that_they_are_made_of_answers(used, store):
    assert used[store, "a sound one"]["ended"] == "used", used[store, "a sound one"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize(("store", "name"), CASES, ids=[f"{store}: {name}" for store, name in CASES])
def test_an_index_made_to_hurt_is_refused_in_words(used, store, name):
    told = used[store, name]
    assert told["ended"] == "refused" or (name in HARMLESS and told["ended"] == "used"), told
    assert told["seconds"] < 60
    assert told["peak_mb"] < 1_000


def make(index: Path) -> None:
    index_documents(index, [Document("a", "library text")], WordEmbedder(dim=DIM), BuildOptions(analyzer="bigram"))


@pytest.fixture
def home(tmp_path):
    """Somebody's files, and an index with links to them."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "keys").write_text("secret")
    (tmp_path / "home" / "work").mkdir()
    (tmp_path / "home" / "work" / "report.txt").write_text("a year of work")
    return tmp_path / "home"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["generations", "segments", "embeddings", "models", "tuning"])
def test_a_folder_of_an_index_that_is_a_link_is_not_written_to_and_nothing_there_is_removed(tmp_path, home, name):
    index, before = tmp_path / "index", content(home)
    index.mkdir()
    (index / name).symlink_to(home)
    with pytest.raises(AccessError, match="is a link; expected a file or folder of the index itself"):
        make(index)
    assert content(home) == before


def test_a_lock_file_that_is_a_link_does_not_empty_what_it_names(tmp_path, home):
    index, before = tmp_path / "index", content(home)
    index.mkdir()
    (index / "writer.lock").symlink_to(home / ".ssh" / "keys")
    with pytest.raises(AccessError, match="writer.lock is a link"):
        make(index)
    assert content(home) == before


def test_an_index_behind_one_link_is_built_and_updated(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "index").symlink_to(tmp_path / "disk", target_is_directory=True)
    make(tmp_path / "index")
    make(tmp_path / "index")
    assert (tmp_path / "disk" / "quarry-index.json").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
def test_an_index_in_a_folder_whose_name_is_no_text_is_built(tmp_path):
    (tmp_path / "a.txt").write_text("A text about libraries.")
    index = Path(os.fsdecode(os.fsencode(tmp_path) + b"/raw\xff"))
    assert build_index(index, [tmp_path / "a.txt"], None).documents == 1


@pytest.mark.parametrize("name", ["new\nline", "tab\t", "bell\x07", "turned\u202e"])
def test_a_path_that_lance_cannot_name_is_refused_before_anything_is_made(tmp_path, name):
    with pytest.raises(AccessError, match="has a character that LanceDB cannot have in a path"):
        check_place(tmp_path / name)


def test_paths_with_spaces_and_other_scripts_are_fine(tmp_path):
    for name in ("with spaces", "中文 文件夹", "📚", "per%20cent", "ha#sh", "ques?tion", "é"):
        check_place(tmp_path / name)
