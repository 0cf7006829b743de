"""Folders and files in, documents out.

    files and folders, each under one of its paths           places
    -> files, in the order of their paths, links once        listing
    -> documents, or counted skips                           walk, readers
    pages of one site, whose menus are left out              sites
    what has changed since                                   snapshot (sizes and times), events (from the system or the clock)
    -> when it has come to rest                              watcher

`read_corpus` is the door for one pass, `watcher` for following folders.
"""
