"""What a cold start need not do: look for garbage while libraries and models are loaded, and once more at the end."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage cycles: what is loaded stays, and a tenth of a cold search went into looking through it.

    Example:
        >>> with loading():
        ...     gc.isenabled()
        False
        >>> gc.isenabled()
        True
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
