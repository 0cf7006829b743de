"""The process behind the app: Streamlit's server, ended at once when it was told to stop.

A model that is still computing for somebody, in a thread that nobody can stop, would otherwise hold the process up or abort
it while Python takes itself apart. Nothing is lost: what was confirmed is on disk, and an unfinished build is no generation.
"""

import os
import sys


def main() -> None:
    """Serve until a signal comes; the arguments are those of the `streamlit` command."""
    from streamlit.web.cli import main as streamlit

    code = 1
    try:
        streamlit(prog_name="streamlit")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
