"""The loop of a worker process: one request after another on stdin, one JSON line each on stdout.

A request is a line of JSON whose `bytes` says how many bytes of content follow. The memory limit is set at the start; the parent
holds the time limit and kills the process.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import Reason, Unreadable

Answer = Callable[[dict[str, Any], bytes], dict[str, Any]]


def serve(answer: Answer) -> None:
    """Serve until stdin closes; the memory limit in bytes is the only argument of the command."""
    _limit_memory(int(sys.argv[1]))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not end up among the replies
    for line in sys.stdin.buffer:
        request = json.loads(line)
        replies.write(reply_to(answer, request, sys.stdin.buffer.read(request["bytes"])) + "\n")
        replies.flush()


def _limit_memory(limit: int) -> None:
    """Let this process have at most this many bytes, where the system can hold it to that.

    Windows has no such limit, and macOS refuses those below what a process maps at its start: there the time limit alone holds.
    """
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ImportError, ValueError, OSError):
        return


def reply_to(answer: Answer, request: dict[str, Any], content: bytes) -> str:
    """Return the reply as a line; every failure becomes a reason."""
    try:
        return json.dumps(answer(request, content))
    except Unreadable as err:
        return _refusal(err.reason, err.detail)
    except MemoryError:
        return _refusal("memory limit", too_much_memory())
    except RecursionError:
        return _refusal("damaged", too_deep())
    except Exception as err:  # noqa: BLE001 (the border: a parser's failure is a counted reason with its type)
        return _refusal("damaged", parser_failed(err))


def parser_failed(err: Exception) -> Message:
    """Say that a reader failed on a file in a way that nobody foresaw."""
    return Message.of(
        "readers.parser_failed", "the parser failed with {error}", error=f"{type(err).__name__}: {err}"[:500]
    )


def too_much_memory() -> Message:
    """Say that a file does not fit into the memory allowed."""
    return Message.of("readers.memory", "it takes more memory than is allowed for one file", do="Split it")


def too_deep() -> Message:
    """Say that a file is nested too deeply."""
    return Message.of("readers.too_deep", "it is nested too deeply", expected="a file of readable depth")


def _refusal(reason: Reason, detail: Message) -> str:
    return json.dumps({"reason": reason, "detail": detail.as_json()})
