"""Which pages belong to one site, and which lines repeat over them.

Pages of a site are the HTML files of a folder with at least four of them below it. A site is looked at only when one of its pages is
new or has changed; then all of its pages are compared again, because what repeats may have changed with it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from quarry.indexer.readers.base import Extract, Reading
from quarry.indexer.readers.repeated import FEWEST_PAGES, repeated_lines, without_repeated

_ENDINGS = (".html", ".htm", ".xhtml", ".shtml")
_MOST_COMPARED = 60  # pages of a site that are compared; more say no more about its menus

ReadPage = Callable[[Path], tuple[bytes, Reading] | None]


@dataclass(frozen=True, slots=True)
class Site:
    """What repeats over the pages of a site; nothing outside of one.

    Attributes:
        repeated: The lines.
        compared: Pages that were read for it: path to content and reading.
    """

    repeated: frozenset[str]
    compared: dict[Path, tuple[bytes, Reading]]

    def taken(self, path: Path, content: bytes) -> Reading | None:
        """Hand over the reading of a page that was compared, once; None when it was not, or has changed since."""
        content_then, reading = self.compared.pop(path, (b"", None))
        return reading if content_then == content else None

    def version(self, content_digest: str) -> str:
        """Return the digest of a page's content, followed by `+` and that of what is left out of it."""
        if not self.repeated:
            return content_digest
        return f"{content_digest}+{sha256(chr(10).join(sorted(self.repeated)).encode()).hexdigest()}"

    def pruned(self, reading: Reading) -> Reading:
        """Return a page without what repeats, counted."""
        if not self.repeated:
            return reading
        left = 0
        extracts = []
        for extract in reading.extracts:
            text, count = without_repeated(extract.text, self.repeated)
            left += count
            extracts.append(Extract(text, extract.title, extract.meta, extract.row_id, extract.beir))
        return Reading(tuple(extracts), reading.problems, {**reading.omitted, "repeated_lines": left})


NO_SITE = Site(frozenset(), {})


class Sites:
    """The sites below one root."""

    def __init__(self, files: Callable[[], Sequence[Path]], root: Path) -> None:
        """Take the root; it is not walked before the first page comes.

        Args:
            files: Lists the files below the root.
            root: The folder, or a single file, which is in no site.
        """
        self._files = files
        self._root = root
        self._members: dict[Path, list[Path]] | None = None
        self._home: dict[Path, Path] = {}
        self._changed: dict[Path, bool] = {}
        self._found: dict[Path, Site] = {}

    def is_quiet(self, path: Path, is_unchanged: Callable[[Path], bool]) -> bool:
        """Whether a file is outside of any site, or in one whose pages are all as they were."""
        home = self._home_of(path)
        if home is None:
            return True
        if home not in self._changed:
            self._changed[home] = not all(is_unchanged(page) for page in self._pages(home))
        return not self._changed[home]

    def of(self, path: Path, read: ReadPage) -> Site:
        """Return the site of a page.

        Args:
            path: The page.
            read: Reads a page; None when it cannot be read as one.
        """
        home = self._home_of(path)
        if home is None:
            return NO_SITE
        if home not in self._found:
            pages = self._pages(home)
            step = max(1, -(-len(pages) // _MOST_COMPARED))
            compared = {page: found for page in pages[::step] if (found := read(page)) is not None}
            texts = [reading.extracts[0].text for _, reading in compared.values() if reading.extracts]
            self._found[home] = Site(repeated_lines(texts), compared)
        return self._found[home]

    def _pages(self, home: Path) -> list[Path]:
        return (self._members or {}).get(home, [])

    def _home_of(self, path: Path) -> Path | None:
        if not path.name.lower().endswith(_ENDINGS) or path == self._root:
            return None
        if self._members is None:
            self._members = self._grouped()
        return self._home.get(path)

    def _grouped(self) -> dict[Path, list[Path]]:
        """Give each page to the nearest folder above it that has enough pages below it."""
        pages = [path for path in self._files() if path.name.lower().endswith(_ENDINGS)]
        below: Counter[Path] = Counter()
        for page in pages:
            below.update(self._folders(page))
        for page in pages:
            home = next((folder for folder in self._folders(page) if below[folder] >= FEWEST_PAGES), None)
            if home is not None:
                self._home[page] = home
        homes = set(self._home.values())
        members: dict[Path, list[Path]] = defaultdict(list)
        for page in pages:
            for folder in homes.intersection(self._folders(page)):
                members[folder].append(page)
        return dict(members)

    def _folders(self, page: Path) -> list[Path]:
        """Return the folders above a page, nearest first, up to the root."""
        folders = []
        for folder in page.parents:
            folders.append(folder)
            if folder == self._root:
                break
        return folders
