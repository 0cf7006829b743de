"""`python -m app.cli`: the `quarry` command without its console script."""

from app.cli import main

main()
