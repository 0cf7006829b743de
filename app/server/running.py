"""Runs a server until it is told to stop."""

import logging
import os
import signal
import sys

import uvicorn
from starlette.types import ASGIApp


def run(app: ASGIApp, host: str, port: int, *, time_limit_s: float, connections: int | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C: requests in flight are answered, then the process ends with 0.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on.
        time_limit_s: Time limit of a request, and the grace period for requests in flight.
        connections: Maximum number of open connections, further ones get 503; None for no limit.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("quarry.serve")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    config = uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=port,
        log_level="warning",
        access_log=False,
        limit_concurrency=connections,
        server_header=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=int(time_limit_s) + 5,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again after shutdown
    server = uvicorn.Server(config)
    server.run()
    sys.stdout.flush()
    sys.stderr.flush()
    # A model computing in a thread cannot be interrupted and would keep the process alive; acknowledged jobs are on disk.
    os._exit(0 if server.started else 1)
