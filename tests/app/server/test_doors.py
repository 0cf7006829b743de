"""Who reaches the server, how often, and for how long: names, foreign pages, wrong tokens, silent and slow connections."""

import socket
import time
from contextlib import closing, contextmanager

import httpx
import pytest

pytest.importorskip("fastapi")

from quarry.app.keys import add_key
from quarry.app.server.door import patience
from quarry.app.server.settings import ServeOptions
from tests.app.server.serving import finished, served, small_index, start

TOKEN = "0123456789abcdef"
LOCAL = ("localhost", "127.0.0.1", "[::1]")
DOCUMENTS = {"documents": [{"id": "planted", "text": "A planted document."}]}


@contextmanager
def running(tmp_path, **settings):
    with served(ServeOptions(small_index(tmp_path / "index"), hosts=LOCAL, **settings)) as one:
        yield one


def connect(url):
    host, port = httpx.URL(url).host, httpx.URL(url).port
    return socket.create_connection((host, port), timeout=30)


def test_a_page_of_another_site_changes_nothing(tmp_path):
    with running(tmp_path) as one:
        host = httpx.URL(one.url).netloc.decode()
        for origin in (
            "http://evil.example",
            "null",
            f"http://{host}.evil.example",
            "http://localhost:1",
            "http://[::1",
        ):
            answer = one.client.post("/documents", json=DOCUMENTS, headers={"Origin": origin})
            assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "serve.wrong_origin"), origin
            assert one.client.delete("/documents/loans.md", headers={"Origin": origin}).status_code == 403
            assert one.client.post("/feedback", json={}, headers={"Origin": origin}).status_code == 403
        assert one.services.inbox.waiting() == 0
        own = one.client.post("/documents", json=DOCUMENTS, headers={"Origin": f"http://{host}"})
        assert finished(one.client, own.json()["job"])["state"] == "done"


def test_a_program_with_the_token_may_name_any_page(tmp_path):
    with running(tmp_path, token=TOKEN) as one:
        headers = {"Origin": "app://obsidian.md", "Authorization": f"Bearer {TOKEN}"}
        assert one.client.post("/search", json={"query": "books"}, headers=headers).status_code == 200


def test_a_page_behind_a_proxy_is_the_servers_own_under_an_allowed_name(tmp_path):
    names = ("search.example.org",)
    with served(ServeOptions(small_index(tmp_path / "index"), hosts=LOCAL + names, public_names=names)) as one:
        headers = {"Host": "search.example.org", "Origin": "https://search.example.org"}
        assert one.client.post("/search", json={"query": "books"}, headers=headers).status_code == 200
        headers["Origin"] = "https://evil.example"
        assert one.client.post("/search", json={"query": "books"}, headers=headers).status_code == 403


def test_more_requests_than_allowed_are_told_to_wait(tmp_path):
    with running(tmp_path, rate_limit=3) as one:
        answers = [one.client.post("/search", json={"query": "books"}) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 20
        assert answers[3].json()["error"]["reason"] == "serve.too_often"
        assert one.client.get("/health").status_code == 200


def test_wrong_tokens_are_not_tried_for_long_and_the_right_one_still_opens(tmp_path):
    with running(tmp_path, token=TOKEN) as one:
        found = [one.client.get("/roots", headers={"Authorization": f"Bearer {n}"}).status_code for n in range(25)]
        assert found == [401] * 20 + [429] * 5
        assert one.client.get("/roots", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"query":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400),
        (b'{"query": "books", "filters": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, 400),
        (b'{"query": ' + b"9" * 5_000 + b"}", 400),
        (b'{"query": "' + b"a" * (3 * 2**20) + b'"}', 413),
    ],
)
def test_deep_and_large_bodies_are_refused(tmp_path, body, status):
    with running(tmp_path, max_body_bytes=2 * 2**20) as one:
        answer = one.client.post("/search", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status
        assert one.client.get("/health").json()["status"] == "ok"


@pytest.mark.slow
def test_silent_connections_and_endless_headers_are_closed_and_others_answered_meanwhile(tmp_path):
    process, url, _ = start(small_index(tmp_path / "index"), files=400)
    silent = []
    try:
        silent = [connect(url) for _ in range(300)]
        for one in silent[::2]:
            one.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        begun = time.monotonic()
        assert httpx.get(f"{url}/health", timeout=30).status_code == 200
        assert time.monotonic() - begun < patience.HEAD_SECONDS + 5
        time.sleep(max(0.0, begun + patience.HEAD_SECONDS + 2 - time.monotonic()))
        assert all(ended(one) for one in silent)
    finally:
        for one in silent:
            one.close()
        process.terminate()
        assert process.wait(30) == 0


def test_a_head_that_does_not_end_is_refused(tmp_path):
    process, url, _ = start(small_index(tmp_path / "index"))
    try:
        with closing(connect(url)) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"a" * (patience.HEAD_BYTES + 1))
            assert client.recv(100).startswith(b"HTTP/1.1 400")
        assert httpx.get(f"{url}/health", timeout=30).status_code == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_every_loopback_address_is_answered_at_the_address_that_is_printed(tmp_path):
    process, url, _ = start(small_index(tmp_path / "index"), "--host", "127.0.0.2")
    try:
        assert httpx.get(f"{url}/health", timeout=30).status_code == 200
        assert httpx.get(f"{url}/health", headers={"Host": "evil.example"}, timeout=30).status_code == 421
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_the_address_is_printed_when_the_port_is_open(tmp_path):
    import subprocess
    import sys

    index = small_index(tmp_path / "index")
    command = [sys.executable, "-m", "quarry", "serve", str(index), "--port", "0", "--rerank", "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split("answers at ")[1].split(" ")[0]
            assert httpx.get(f"{url}/health", timeout=30).status_code == 200
        finally:
            process.terminate()


def ended(client):
    """Whether the other side has closed a connection."""
    client.settimeout(2)
    try:
        return client.recv(1000) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_each_key_has_a_rate_of_its_own_wherever_it_is_used_from(tmp_path):
    index = small_index(tmp_path / "index")
    one, other = ({"Authorization": f"Bearer {add_key(index, name, ['staff'])}"} for name in ("one", "other"))
    with served(ServeOptions(index, rate_limit=3)) as running_one:

        def asked(headers):
            return running_one.client.post("/search", json={"query": "books"}, headers=headers).status_code

        assert [asked(one) for _ in range(5)] == [200, 200, 200, 429, 429]
        assert [asked(other) for _ in range(3)] == [200, 200, 200], "from the same address"
