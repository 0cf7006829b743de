"""Runs a server until it is told to stop."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from quarry.app.server.door.patience import LIMITS


class _Announced(uvicorn.Server):
    """A server that says so when its port is open."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()
            sys.stdout.flush()


def run(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    time_limit_s: float,
    announce: Callable[[], None],
    leaving: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C: requests in flight are answered, then the process ends with 0.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on.
        time_limit_s: Time limit of a request, and the grace period for requests in flight.
        announce: Called once connections are accepted, to print the address.
        leaving: Called when the server has stopped.
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
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(time_limit_s) + 5,
        **LIMITS,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again after shutdown
    server = _Announced(config, announce)
    server.run()
    leaving()
    sys.stdout.flush()
    sys.stderr.flush()
    # A model computing in a thread cannot be interrupted and would keep the process alive; acknowledged jobs are on disk.
    os._exit(0 if server.started else 1)
