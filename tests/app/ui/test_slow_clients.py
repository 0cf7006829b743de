"""Connections that say nothing, headers and uploads that never end: they cost the app nothing, and others are answered meanwhile."""

import socket
import time
import urllib.request
from contextlib import closing
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install 'quarry-search[test]')")

from quarry.app.server.door import patience
from quarry.app.ui import gate
from tests.app.server.serving import small_index
from tests.app.ui.browser import served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app with 400 file descriptors, of which 208 may be connections."""
    index = small_index(tmp_path_factory.mktemp("slow") / "index")
    with served(index, files=400) as url:
        yield url


def connect(url):
    return socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=30)


def healthy(url):
    with urllib.request.urlopen(f"{url}/_stcore/health", timeout=30) as answer:
        return answer.status == 200


def closed(client, seconds):
    """Whether the other side closes a connection in time, with or without an answer."""
    client.settimeout(seconds)
    try:
        while client.recv(1000):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def test_silent_connections_and_endless_headers_are_closed_and_the_app_answers_meanwhile(app):
    silent = [connect(app) for _ in range(300)]
    try:
        for one in silent[::2]:
            one.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        begun = time.monotonic()
        assert healthy(app)
        assert time.monotonic() - begun < patience.HEAD_SECONDS + 5
        time.sleep(max(0.0, begun + patience.HEAD_SECONDS + 2 - time.monotonic()))
        assert all(closed(one, 2) for one in silent)
    finally:
        for one in silent:
            one.close()


def test_a_head_that_does_not_end_is_refused(app):
    with closing(connect(app)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"a" * (patience.HEAD_BYTES + 1))
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert healthy(app)


def test_an_upload_that_never_ends_is_given_up(app):
    with closing(connect(app)) as client:
        host = urlsplit(app).netloc
        client.sendall(
            f"PUT /_stcore/upload_file/session/file HTTP/1.1\r\nHost: {host}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n--b\r\n".encode()
        )
        assert closed(client, gate.BODY_SECONDS + 10)
    assert healthy(app)
