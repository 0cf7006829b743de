"""C-MTEB's task kinds, scored by mteb on local data."""
