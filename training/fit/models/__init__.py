"""Models in training: opened from a folder or a config, fed, and written so that they can be served."""
