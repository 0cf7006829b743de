"""The process behind the app: Streamlit's server, which ends at once on a signal.

A model that is still computing, in a thread that cannot be stopped, would otherwise hold up the process or abort it while
Python shuts down. Nothing is lost: what was confirmed is on disk, and an unfinished build never becomes a generation.
"""

import os
import sys


def main() -> None:
    """Serve until a signal arrives; the arguments are those of the `streamlit` command."""
    from streamlit.web.cli import main as streamlit

    from quarry.app.ui.gate import install

    install()
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
