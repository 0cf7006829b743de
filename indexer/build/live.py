"""What a build may continue from: the live generation, unless its texts are damaged, or a lake is there."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError, IndexMismatchError, OtherFormatError
from quarry.indexer.storage.files.sealing import Damage, verified_by_default
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CHUNKS_NAME, CONTENTS_NAME
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.segments import HEADER_NAME, SegmentName, Segments
from quarry.indexer.storage.texts.generation_texts import open_texts, repeated_documents
from quarry.indexer.stores.lake.layout import LAKE_NAME
from quarry.indexer.stores.lake.objects import is_remote
from quarry.indexer.stores.lake.view import VIEW_NAME

_OF_TEXTS = (CHUNKS_NAME, CONTENTS_NAME, HEADER_NAME)  # files without which the texts cannot be trusted


def live_to_continue(generations: Generations, settings: BuildOptions) -> tuple[Manifest | None, list[Damage]]:
    """Read the live manifest, and list what is damaged in its generation.

    Damaged vectors and terms are made again from the texts. A rebuild starts from nothing when the texts are lost too.

    Raises:
        IndexFormatError: If the texts cannot be carried over, and this is not a rebuild.
    """
    if not generations.exists():
        return None, []
    try:
        folder = generations.live()
        manifest = Manifest.read(folder)
        # an older format is written anew as a whole: what is damaged must not get a fresh checksum
        whole = settings.rebuild or not manifest.segments
        damage = manifest.damage(folder, hashes=True if whole else None)
        _refuse_lost_texts(generations.root, damage)
        _refuse_repeated(folder, manifest)
    except OtherFormatError:
        raise
    except IndexFormatError:
        if settings.rebuild and settings.go_live:
            return None, []
        raise
    return manifest, damage


def refuse_lake(index: Path) -> None:
    """Refuse to build where a lake is, or its view.

    Raises:
        IndexMismatchError: If there is one.
    """
    if is_remote(index) or (index / LAKE_NAME).is_file() or (index / VIEW_NAME).is_file():
        raise IndexMismatchError(
            "build.is_a_lake",
            "{index} is a lake, or stands for one, and is not changed like an index folder",
            expected="an index folder",
            do="Add documents with `quarry lake add` and `quarry lake publish`; for another model, make another lake",
            index=index,
        )


def refuse_damaged(index: Path, segments: Iterable[SegmentName]) -> None:
    """Compare every file of segments that are merged with their records: damage would get a fresh checksum and be there for good.

    Raises:
        IndexFormatError: If a file differs; it is named.
    """
    _refuse(index, [each for one in segments for each in Segments(index).damage(one, hashes=True)])


def _refuse_lost_texts(index: Path, damage: list[Damage]) -> None:
    _refuse(index, [each for each in damage if each.file.name in _OF_TEXTS])


def _refuse_repeated(folder: Path, manifest: Manifest) -> None:
    with closing(open_texts(folder)) as texts:
        repeated = texts.repeated() if verified_by_default(manifest.bytes) else []
    if repeated:
        raise repeated_documents(folder / CONTENTS_NAME, repeated)


def _refuse(index: Path, damage: list[Damage]) -> None:
    if damage:
        raise IndexFormatError(
            "build.lost_texts",
            "the texts of the live generation cannot be carried over: {damage}",
            do="Run `quarry generations {index} --rollback`, or index every PATH again, the first one with --rebuild",
            damage=damage[0].message,
            index=index,
        )
