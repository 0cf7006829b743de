"""Chinese words by jieba, with as much of its dictionary as the text is worth.

jieba reads its dictionary of 500,000 entries at the first word: a third of a second and 70 MB. One question needs a few hundred look-ups,
which the mapped copy of the same dictionary answers; whoever cuts more, or says so with `read`, gets the dictionary itself. The words
are the same.
"""

import logging
import os
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lexical.words import MappedWords, write_words

_FEW = 2_000  # characters that are cut by the mapped dictionary; reading the whole one pays off after about ten times as many


class JiebaCutter:
    """Cuts runs of Han characters into words and their inner words.

    Args:
        folder: Where the dictionary's copies are kept: jieba's own default is a shared marshal file in /tmp.
    """

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import jieba
        jieba.setLogLevel(logging.WARNING)
        self._whole: Any = jieba.dt
        self._few: Any = None
        self._left = _FEW
        self._lock = Lock()
        self._words = folder / f"jieba-{version('jieba')}.words"
        self._missing = not self._words.is_file()
        self._writable = True
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            jieba.dt.cache_file = str(folder / f"jieba-{version('jieba')}.cache")
        except OSError:
            logging.getLogger(__name__).warning(
                "%s cannot be written: jieba builds its dictionary anew each time", folder
            )
            jieba.dt.tmp_dir = os.devnull
            self._writable = False

    def __call__(self, run: str) -> Iterable[str]:
        """Return the words of a run of Han characters."""
        cutter = self._whole if self._whole.initialized else self._for(len(run))
        words: Iterable[str] = cutter.cut_for_search(run)
        return words

    def read(self) -> None:
        """Read the whole dictionary now, and keep a copy to map where there is none."""
        if self._whole.initialized:
            return
        with self._lock:
            self._whole.initialize()
            if self._writable and self._missing and self._whole.initialized:
                self._keep()
                self._missing = False

    def _for(self, characters: int) -> Any:
        """Return what cuts so many more characters."""
        with self._lock:
            self._left -= characters
            if self._left >= 0 and self._few is None:
                self._few = self._mapped()
            if self._left >= 0 and self._few is not None:
                return self._few
        self.read()
        return self._whole

    def _mapped(self) -> Any:
        import jieba

        try:
            words = MappedWords.open(self._words)
        except FileNotFoundError:
            return None
        except (OSError, IndexFormatError) as err:
            logging.getLogger(__name__).warning("%s; the whole dictionary is read instead", err)
            self._missing = True
            return None
        cutter = jieba.Tokenizer()
        cutter.FREQ, cutter.total, cutter.initialized = words, words.total, True
        return cutter

    def _keep(self) -> None:
        try:
            write_words(self._words, self._whole.FREQ)
        except OSError as err:
            logging.getLogger(__name__).warning(
                "%s cannot be written (%s): each start reads all of jieba's dictionary", self._words, err
            )
