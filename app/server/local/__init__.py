"""How `quarry search` asks a server that already runs on the same index, instead of loading the model again.

    state     the file that names a running server, readable by its user only
    carried   answers as JSON and back, exactly
    asking    the command's side: find the server, have it prove what it is, ask it

The server's side is `quarry.app.server.routes.local`.
"""
