"""Feedback, files and documents in, training examples out."""
