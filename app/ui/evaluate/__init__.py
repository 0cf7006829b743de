"""What the Evaluate page shows and runs."""
