"""What the Feedback page shows."""
