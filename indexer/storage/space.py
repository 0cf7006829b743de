"""What the bytes of an index are: vectors, texts, words, and what is kept beside the generations."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.storage.files.sealing import FileFact
from quarry.indexer.storage.layout import LEXICAL_NAME, NAMES_NAME, VECTORS_NAME
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.segments import Segments

_ENCODED = "encoded"  # which vector is whose, by digest


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes on disk of one generation, with those of its segments, which other generations may share.

    Attributes:
        vectors: Of passages, with their ids and the codes that searches compare first.
        texts: Documents, metadata, where passages begin and end, entries of files.
        words: Postings for BM25.
        titles: Vectors of titles and headings.
    """

    vectors: int
    texts: int
    words: int
    titles: int

    @classmethod
    def of(cls, root: Path, manifest: Manifest) -> "Space":
        """Add up what headers and manifest record.

        Args:
            root: The index folder.
            manifest: The generation's.

        Raises:
            IndexFormatError: If the header of a segment is damaged or missing.
        """
        segments, sizes = Segments(root), _by_folder(manifest.files)
        for segment in manifest.segments:
            sizes += _by_folder(segments.files(segment))
        vectors, words, titles = sizes[VECTORS_NAME] + sizes[_ENCODED], sizes[LEXICAL_NAME], sizes[NAMES_NAME]
        return cls(vectors, sizes.total() - vectors - words - titles, words, titles)


def _by_folder(files: Mapping[str, FileFact]) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for path, fact in files.items():
        sizes[path.partition("/")[0]] += fact.size
    return sizes
