"""Messages in manifests and pointers; those of format 1, with plain sentences, are read and renewed."""

import pytest

from quarry.indexer import BuildOptions, Document, Index, index_documents
from quarry.indexer.messages import PLAIN, Message
from quarry.indexer.storage.files.sealing import seal, unseal
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import FORMAT, MANIFEST_NAME, Manifest
from quarry.indexer.storage.pointer import POINTER_NAME

NOTE = Message.of("test.note", "{model} stands in", model="a/m")


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path, [Document("a", "Renew books twice.")], None, BuildOptions(notes=(NOTE,)))
    return tmp_path


def test_notes_and_reasons_are_read_back_as_they_were(index):
    manifest = Index.open(index).manifest
    assert (manifest.format, manifest.notes, manifest.reason.code) == (FORMAT, (NOTE,), "build.built")
    assert [step.reason for step in Generations(index).pointer().history] == [Message.of("build.built", "built")]
    index_documents(index, [Document("b", "More.")], None, BuildOptions(notes=manifest.notes))
    assert [str(step.reason) for step in Generations(index).pointer().history] == ["built", "updated"]
    assert Index.open(index).manifest.notes == (NOTE,)


def test_an_index_with_plain_sentences_opens_and_the_next_build_renews_it(index):
    folder = Generations(index).live()
    older = {"format": 1, "reason": "built", "notes": ["a/m stands in"]}
    (folder / MANIFEST_NAME).write_bytes(seal({**unseal(folder / MANIFEST_NAME), **older}))
    pointer = unseal(index / POINTER_NAME)
    pointer |= {"format": 1, "history": [step | {"reason": "built"} for step in pointer["history"]]}
    (index / POINTER_NAME).write_bytes(seal(pointer))
    manifest = Index.open(index).manifest
    assert (str(manifest.reason), manifest.reason.code, *map(str, manifest.notes)) == ("built", PLAIN, "a/m stands in")
    index_documents(index, [Document("b", "More.")], None)
    assert [str(step.reason) for step in Generations(index).pointer().history] == ["built", "updated"]
    assert Manifest.read(Generations(index).live()).format == unseal(index / POINTER_NAME)["format"] == FORMAT


def test_a_manifest_that_is_written_again_has_the_current_format(index):
    folder = Generations(index).live()
    Manifest.read(folder).model_copy(update={"format": 1}).write(folder)
    assert Manifest.read(folder).format == FORMAT
