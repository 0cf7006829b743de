"""A worker process with a time and a memory limit, started when first needed and again after it had to be killed.

What could hang, crash or eat memory on a bad file runs there: parsers (`quarry.indexer.readers.worker`) and the cutting of large
documents (`quarry.indexer.build.cutting.cutter`).
"""

import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import Extract, Reading, ReadOptions, RowProblem, Unreadable

READING_WORKER = "quarry.indexer.readers.worker"


class Sandbox:
    """Does work on one file after another in another process. A context manager: leaving it ends the process."""

    def __init__(self, options: ReadOptions, module: str = READING_WORKER, setup: bytes = b"") -> None:
        """Prepare it; nothing is started yet.

        Args:
            options: For the limits.
            module: The module to run, which calls `serving.serve`.
            setup: What the module gets as its first request's content, after each start.
        """
        self._options = options
        self._module = module
        self._setup = setup
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.Queue[bytes] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def read(self, kind: str, path: Path, content: bytes = b"") -> Reading:
        """Read a file of a kind that the worker knows.

        Args:
            kind: What `format_of` said.
            path: Where it is.
            content: Its bytes, unpacked; not needed by the parsers that open the path themselves.

        Raises:
            Unreadable: With the reason; `time limit` after a kill, `damaged` when the parser died.
        """
        request = {"kind": kind, "path": os.fsencode(path).hex(), "options": asdict(self._options)}
        seconds = self._options.ocr_seconds if self._options.ocr and kind == "pdf" else self._options.parser_seconds
        return _reading(self.ask(request, content, seconds))

    def ask(self, request: dict[str, Any], content: bytes, seconds: float) -> dict[str, Any]:
        """Send a request and wait for its reply.

        Raises:
            Unreadable: When the worker refuses it, takes longer than `seconds`, or dies.
        """
        try:
            process = self._running(seconds)
            if process.stdin is not None:
                _send(process.stdin, request, content)
            line = self._replies.get(timeout=seconds)
        except queue.Empty as err:
            self.close()
            raise Unreadable(
                "time limit",
                Message.of(
                    "readers.too_slow", "it took longer than {seconds:.0f} s", do="Split the file", seconds=seconds
                ),
            ) from err
        except OSError:
            line = b""
        if not line:
            self.close()
            raise Unreadable(
                "damaged",
                Message.of(
                    "readers.parser_died", "the parser died on it", expected="an ordinary file", do="Save it again"
                ),
            )
        reply: dict[str, Any] = json.loads(line)
        if reply.get("reason") == "memory limit":
            self.close()  # what is left of its memory may not serve the next file
        if "reason" in reply:
            raise Unreadable(reply["reason"], Message.from_json(reply["detail"]))
        return reply

    def _running(self, seconds: float) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self.close()
            # -P: modules in the current folder are not ours. A session of its own: Ctrl-C is for us
            command = [sys.executable, "-P", "-m", self._module, str(self._options.parser_bytes)]
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
            self._replies = queue.Queue()
            threading.Thread(target=_pump, args=(self._process.stdout, self._replies), daemon=True).start()
            if self._setup and self._process.stdin is not None:
                _send(self._process.stdin, {}, self._setup)
                self._replies.get(timeout=max(seconds, 60.0))
        return self._process


def _send(stream: IO[bytes], request: dict[str, Any], content: bytes) -> None:
    """Write one request: a line of JSON that says how many bytes follow it."""
    stream.write(json.dumps({**request, "bytes": len(content)}).encode() + b"\n")
    stream.write(content)
    stream.flush()


def _environment() -> dict[str, str]:
    """Return our environment with the folder that holds `quarry` first on the path, so that the worker runs the same code."""
    ours = str(Path(__file__).absolute().parents[3])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{ours}{os.pathsep}{before}" if before else ours}


def _pump(stream: IO[bytes], replies: "queue.Queue[bytes]") -> None:
    """Move reply lines into a queue, so that waiting for one can have a limit; an empty line at the end."""
    try:
        for line in stream:
            replies.put(line)
    except ValueError:  # closed while reading
        pass
    replies.put(b"")


def _reading(reply: dict[str, Any]) -> Reading:
    reading = reply["reading"]
    return Reading(
        tuple(Extract(**extract) for extract in reading["extracts"]),
        tuple(RowProblem(problem["line"], Message.from_json(problem["detail"])) for problem in reading["problems"]),
        reading["omitted"],
    )
