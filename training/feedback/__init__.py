"""What users said, append-only, and what it means."""
