"""`python -m quarry`: the `quarry` command without its console script."""

from quarry.app.cli import main

main()
