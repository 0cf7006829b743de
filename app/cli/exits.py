"""From an exception to an exit code and one line on stderr."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import typer
import typer.core

from quarry.app.cli.console import note
from quarry.indexer.errors import SearchError
from quarry.indexer.memory import out_of_memory
from quarry.indexer.storage.files.durable import access_error

DEBUG_VARIABLE = "QUARRY_DEBUG"
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_SKIPPED = 3  # files, with --strict
EXIT_REFUSED = 4  # by the gate
EXIT_INTERRUPTED = 130


class ClosedPipe(Exception):
    """Nobody reads stdout any more, as in `quarry search ... | head -1`."""


class PipeAwareGroup(typer.core.TyperGroup):
    """The top-level group of commands. Typer would turn a closed pipe into exit code 1."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the command line; prints the top-level help."""
        with _watching_pipe():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command; prints its help or its results."""
        with _watching_pipe():
            return super().invoke(ctx)


@contextmanager
def _watching_pipe() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as err:
        raise ClosedPipe from err


@contextmanager
def usage_errors() -> Iterator[None]:
    """Report a `ValueError` of the enclosed code as a usage error: wrap only what turns options into library values.

    Raises:
        typer.BadParameter: Instead of a plain `ValueError`.
    """
    try:
        yield
    except SearchError:
        raise
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err


class _Progress(Protocol):
    def close(self) -> None: ...


@contextmanager
def interruptible(progress: _Progress, kept: str) -> Iterator[None]:
    """Close the progress after the enclosed work; at Ctrl-C, say what is kept and how to go on.

    Raises:
        typer.Exit: At Ctrl-C, with `EXIT_INTERRUPTED`.
    """
    try:
        yield
    except KeyboardInterrupt as err:
        progress.close()
        note(f"interrupted; {kept}")
        raise typer.Exit(EXIT_INTERRUPTED) from err
    finally:
        progress.close()


def exit_code(run: Callable[[], object]) -> int:
    """Run a command line and return its exit code; an error becomes one line on stderr.

    Typer itself handles its usage errors (2) and Ctrl-C (130) and raises `SystemExit`. A `SearchError` that is also a
    `ValueError`, such as an empty query, is a usage error; any other `SearchError` or `OSError` is an error; everything else is
    unexpected. With QUARRY_DEBUG set, errors are raised, so that Python prints the traceback and exits with 1.
    """
    code = 0
    try:
        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else EXIT_ERROR if end.code else 0
    except ClosedPipe:
        pass
    except Exception as err:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        code = _reported(err)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit: what is left in the buffer must have a place to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _reported(err: Exception) -> int:
    if isinstance(err, SearchError):
        note(f"error: {err}")
        return EXIT_USAGE if isinstance(err, ValueError) else EXIT_ERROR
    if (short := out_of_memory(err)) is not None:
        note(f"error: {short}")
        return EXIT_ERROR
    if isinstance(err, OSError):
        note(f"error: {access_error(err) or str(err) or type(err).__name__}")
        return EXIT_ERROR
    note(
        f"error: unexpected {type(err).__name__}: {err}. Set {DEBUG_VARIABLE}=1 to see the traceback, and please report it"
    )
    return EXIT_ERROR
