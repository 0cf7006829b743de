"""In front of every route: who calls, how often, how long, and what is counted."""
