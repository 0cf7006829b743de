"""The folders that an index keeps in step with, and what the last run saw of their files."""

from quarry.indexer.corpus.walk import SourceFile
from quarry.indexer.storage.texts.connected import Connected
from quarry.indexer.storage.texts.packing import packed_digest, unpacked_digest


class FileTable(Connected):
    """Roots and files of one generation."""

    def roots(self) -> dict[str, str]:
        """Return the folders that the index keeps in step with, by prefix."""
        return dict(self._db.execute("SELECT prefix, path FROM roots ORDER BY prefix"))

    def put_root(self, prefix: str, path: str) -> None:
        """Remember a root."""
        self._db.execute("INSERT OR REPLACE INTO roots VALUES (?, ?)", (prefix, path))

    def remove_root(self, prefix: str) -> None:
        """Forget a root; its files and documents stay."""
        self._db.execute("DELETE FROM roots WHERE prefix = ?", (prefix,))

    def root_counts(self) -> dict[str, tuple[int, int]]:
        """Return prefix -> numbers of files and of documents."""
        sql = """SELECT f.root, count(DISTINCT f.path), count(d.doc_id) FROM files f LEFT JOIN documents d ON d.file = f.path
                 GROUP BY f.root"""
        return {root: (files, documents) for root, files, documents in self._db.execute(sql)}

    def file(self, path: str) -> SourceFile | None:
        """Return what the last run recorded about a file."""
        columns = "path, root, size, mtime_ns, sha256, coalesce(readers, 0)"
        row = self._db.execute(f"SELECT {columns} FROM files WHERE path = ?", (path,)).fetchone()  # noqa: S608 (fixed names)
        if row is None:
            return None
        path, root, size, mtime_ns, digest, readers = row
        return SourceFile(path, root, size, mtime_ns, unpacked_digest(digest), readers)

    def put_file(self, file: SourceFile) -> None:
        """Record a file as read."""
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", file_row(file))

    def forget_version(self, path: str) -> None:
        """Make the next run read a file again, although it has not changed; its documents stay."""
        self._db.execute("UPDATE files SET size = -1, mtime_ns = 0, sha256 = '' WHERE path = ?", (path,))

    def files_of(self, root: str) -> list[str]:
        """Return the paths of the files of one root."""
        return [row[0] for row in self._db.execute("SELECT path FROM files WHERE root = ? ORDER BY path", (root,))]


def file_row(file: SourceFile) -> tuple[str, str, int, int, bytes | str, int]:
    """Return what is stored of a file, in the order of the columns."""
    return file.path, file.root, file.size, file.mtime_ns, packed_digest(file.sha256), file.readers
