"""What is scored: tasks of mteb, of AIR-Bench and of own folders, each with its data."""
