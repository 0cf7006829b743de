"""Examples in, a trained model folder out."""
