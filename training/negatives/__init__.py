"""Hard negatives: candidates, what is known to be good, the choice."""
