"""The steps of a run: losses, trainer, what happens between steps, and how far it is."""
