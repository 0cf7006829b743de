"""What an index's vectors and candidates look like, measured."""
