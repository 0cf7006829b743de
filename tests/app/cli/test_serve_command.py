"""`quarry serve` as a process: signals, crashes, tokens, and the message without the extra."""

import random
import signal
import socket
import threading
import time

import httpx
import pytest

pytest.importorskip("fastapi")

from quarry.app.cli.commands import serve as serve_command
from quarry.app.cli.commands.serve import token_for
from quarry.app.server.writing.inbox import Inbox
from quarry.indexer.errors import MissingExtraError, SettingsError
from quarry.retriever.searcher import Searcher
from tests.app.running import quarry
from tests.app.server.serving import finished, small_index, start


def test_a_token_is_made_where_others_can_reach_the_server():
    assert token_for("127.0.0.1", "") == token_for("localhost", "") == token_for("::1", "") == ("", False)
    made, generated = token_for("0.0.0.0", "")
    assert generated
    assert len(made) >= 32
    assert token_for("0.0.0.0", "0123456789abcdef") == ("0123456789abcdef", False)
    for wrong in ("short", "0123456789 abcdef", "密码密码密码密码密码密码密码密码"):
        with pytest.raises(SettingsError, match="expected at least 16 printable ASCII characters"):
            token_for("127.0.0.1", wrong)


def test_without_the_extra_the_message_names_it(monkeypatch, tmp_path):
    monkeypatch.setattr(serve_command, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'quarry-search\[serve\]'"):
        serve_command.serve(tmp_path)


def test_a_folder_that_is_no_index_is_told_at_the_start(tmp_path):
    done = quarry("serve", tmp_path / "nothing", "--port", "0")
    assert done.returncode == 1
    assert "does not exist; expected an index" in done.stderr


def test_sigterm_answers_what_is_in_flight_and_ends_with_0(tmp_path):
    process, url, _ = start(small_index(tmp_path / "index"))
    statuses = []

    def ask():
        while True:
            try:
                statuses.append(httpx.post(f"{url}/search", json={"query": "renew 续借"}).status_code)
            except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
                return  # refused, or connected and not yet read from: what was read is in the log

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    for client in clients:
        client.join(10)
    assert process.returncode == 0, log
    assert statuses
    assert set(statuses) == {200}
    assert log.count("POST /search") == log.count("POST /search 200") == len(statuses)
    assert "renew" not in log


@pytest.mark.slow
def test_bound_elsewhere_the_printed_token_opens(tmp_path):
    process, url, printed = start(small_index(tmp_path / "index"), "--host", "0.0.0.0")
    try:
        token = printed.removeprefix("token: ").strip()
        assert httpx.post(f"{url}/search", json={"query": "books"}).status_code == 401
        right = {"Authorization": f"Bearer {token}"}
        assert httpx.post(f"{url}/search", json={"query": "books"}, headers=right).status_code == 200
        other = quarry("serve", tmp_path / "index", "--port", "0")
        assert "already accepts documents for" in other.stderr
    finally:
        process.kill()
        process.communicate()


def killed_while_adding(index, number, wait):
    """Add documents from two clients until the server is killed; returns the ids and texts it acknowledged."""
    process, url, _ = start(index)
    acknowledged = {}

    def add(client):
        count = 0
        while True:
            count += 1
            doc_id, text = f"{number}-{client}-{count}.md", f"marker{number}x{client}x{count} 第{number}次"
            try:
                answer = httpx.post(f"{url}/documents", json={"documents": [{"id": doc_id, "text": text}]}, timeout=10)
            except httpx.TransportError:
                return
            if answer.status_code == 202:
                acknowledged[doc_id] = text

    clients = [threading.Thread(target=add, args=(client,)) for client in range(2)]
    for client in clients:
        client.start()
    time.sleep(wait)
    process.kill()
    process.communicate()
    for client in clients:
        client.join(20)
    return acknowledged


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20])
def test_kill_9_loses_no_acknowledged_document(tmp_path, kills):
    index = small_index(tmp_path / "index")
    rng = random.Random(5)
    acknowledged = {}
    for number in range(kills):
        acknowledged |= killed_while_adding(index, number, rng.uniform(0.05, 0.8))
    assert len(acknowledged) > kills
    process, url, _ = start(index)
    try:
        with httpx.Client(base_url=url, timeout=30) as client:
            last = client.post("/documents", json={"documents": [{"id": "last", "text": "the last one"}]}).json()
            assert finished(client, last["job"], 120)["state"] == "done"
    finally:
        process.terminate()
        process.communicate(timeout=30)
    chunks = Searcher.open(index).index.chunks
    lost = {
        doc_id
        for doc_id, text in acknowledged.items()
        if chunks.owner(doc_id) is None or chunks.document(doc_id).text != text
    }
    assert not lost
    inbox = Inbox.open(index)
    assert inbox.waiting() == 0
    inbox.close()


def test_port_taken(tmp_path):
    index = small_index(tmp_path / "index")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = quarry("serve", index, "--port", taken.getsockname()[1])
    assert done.returncode == 1
    assert "cannot listen on" in done.stderr
