"""`python -m quarry.app.cli`: the same as `python -m quarry`."""

from quarry.app.cli import main

main()
