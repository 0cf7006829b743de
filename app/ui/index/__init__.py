"""What the Index page shows."""
