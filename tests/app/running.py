"""Runs `quarry` in this process, as its entry point does, so that a test of a command costs no start of Python."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple
from unittest.mock import patch

from quarry.app.cli import main


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def quarry(*arguments: object) -> Done:
    printed, remarks = StringIO(), StringIO()
    with (
        redirect_stdout(printed),
        redirect_stderr(remarks),
        patch.object(sys, "argv", ["quarry", *map(str, arguments)]),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Done(code, printed.getvalue(), remarks.getvalue())
