"""Files that survive a crash, say when they are damaged, and have one writer at a time."""
