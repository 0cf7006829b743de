"""What the training section shows and runs."""
