"""Too little memory, as Python, the system, torch and C++ libraries say it."""

import errno

from quarry.indexer.messages import Message

_NO_MEMORY = ("can't allocate memory", "can't start new thread", "bad_alloc", "Cannot allocate memory")


def out_of_memory(err: BaseException) -> Message | None:
    """Return the message for an exception of Python, the system, torch or a C++ library that got no memory; None for another one."""
    text = str(err)
    short = isinstance(err, MemoryError) or (isinstance(err, OSError) and err.errno == errno.ENOMEM)
    if not short and not (isinstance(err, RuntimeError) and any(words in text for words in _NO_MEMORY)):
        return None
    return Message.of(
        "build.no_memory",
        "there is not enough memory ({error})",
        expected="room for the model and for what it works on: the largest document, the terms of an index that is built",
        do="Close other programs, or raise the limit of this process; the index is as it was",
        error=text[:200] or type(err).__name__,
    )
