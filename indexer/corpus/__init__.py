"""Folders and files in, documents out; `watcher` follows changes."""
