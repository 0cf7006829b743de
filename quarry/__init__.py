"""Search over your own documents, in Chinese and English, that learns from its users and can prove that it got better.

    indexer     text in, searchable folder out
    retriever   a question in, an explained answer out
    training    users' judgements in, a better model out
    app         the command line, the server, the pages and the adapters for RAG frameworks

Each opens with a page about what flows through it. The public names of all of them can be imported from here; heavy
libraries load when they are used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, which do not look into `__getattr__`
    from quarry.indexer import *  # noqa: F403 - exactly its __all__
    from quarry.retriever import *  # noqa: F403 - exactly its __all__

_FOLDER = Path(__file__).absolute().parent
if not (_FOLDER / "indexer").is_dir():
    # A checkout without symbolic links, as Git for Windows makes by default, or an unpacked sdist: the packages lie beside
    # this folder.
    __path__ = [str(_FOLDER), str(_FOLDER.parent)]


def __getattr__(name: str) -> Any:
    """Import a public name of `indexer` or `retriever` at the first use."""
    for package in ("indexer", "retriever"):
        module = import_module(f"quarry.{package}")
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"module 'quarry' has no attribute {name!r}; see `quarry.indexer` and `quarry.retriever`")
