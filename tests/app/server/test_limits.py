"""What a server refuses or ends: bodies that are too large, callers without the token, too many at once, what takes too long, and errors."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from tests.app.server.serving import problem, served, small_index
from tests.fakes import WordEmbedder


def test_bodies_over_the_limit_are_refused_with_and_without_a_length(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"), max_body_bytes=1000)) as running:
        problem(running.client.post("/search", json={"query": "a" * 2000}), 413, "too_large")
        chunks = (b"x" * 400 for _ in range(5))
        json = {"content-type": "application/json"}
        problem(running.client.post("/search", content=chunks, headers=json), 413, "too_large")


def test_token_and_host(tmp_path):
    token = "0123456789abcdef"
    settings = ServeOptions(small_index(tmp_path / "index"), token=token, hosts=("127.0.0.1",))
    with served(settings) as running:
        asked = {"query": "books"}
        answer = running.client.post("/search", json=asked)
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        for wrong in ("Bearer x", f"Basic {token}", f"Bearer {token}x", "Bearer é"):
            headers = {"Authorization": wrong.encode("latin-1")}
            problem(running.client.post("/search", json=asked, headers=headers), 401, "unauthorized")
        problem(running.client.get("/metrics"), 401, "unauthorized")
        right = {"Authorization": f"Bearer {token}"}
        assert running.client.post("/search", json=asked, headers=right).status_code == 200
        assert running.client.get("/health").status_code == 200
        problem(running.client.get("/health", headers={"Host": "evil.example"}), 421, "wrong_host")


class SlowEmbedder(WordEmbedder):
    """Encodes only when it may."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.sizes = []

    def embed_queries(self, texts):
        self.gate.wait(20)
        self.sizes.append(len(texts))
        return super().embed_queries(texts)


def test_what_waits_together_is_computed_together_and_the_rest_gets_429(tmp_path):
    embedder = SlowEmbedder()
    index = small_index(tmp_path / "index", embedder)
    with served(ServeOptions(index, queue=20, batch=8), embedder) as running, ThreadPoolExecutor(40) as pool:
        words = ["renew", "monday", "library", "续借", "读者"]

        def ask(number):
            return running.client.post("/search", json={"query": f"{words[number % 5]} {number}"})

        futures = [pool.submit(ask, number) for number in range(40)]
        for _ in range(500):
            if running.services.metrics.rejected._value.get() >= 12:
                break
            threading.Event().wait(0.02)
        embedder.gate.set()
        answers = [future.result() for future in futures]
    served_ones = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 12 <= len(refused) <= 19  # the first batch took 1 to 8
    for answer in refused:
        problem(answer, 429, "queue_full")
        assert answer.headers["retry-after"] == "1"
    assert max(embedder.sizes) == 8
    assert sum(embedder.sizes) == len(served_ones)
    for number in served_ones:
        assert answers[number].json()["query"] == f"{words[number % 5]} {number}"


def test_the_time_limit_ends_a_request(tmp_path):
    index = small_index(tmp_path / "index")

    def hang(services):
        services.queue.submit("slow", lambda items: [threading.Event().wait(1.5) for _ in items], 0)

    with served(ServeOptions(index, time_limit_s=0.2), work=hang) as running:
        problem(running.client.post("/search", json={"query": "books"}), 504, "time_limit")


def test_an_unexpected_error_tells_its_type_and_no_text(tmp_path, caplog):
    def breaks(services):
        def search_many(*_):
            raise RuntimeError("secret passage")

        services.live.searcher.search_many = search_many

    with served(ServeOptions(small_index(tmp_path / "index")), work=breaks) as running, caplog.at_level("INFO"):
        answer = running.client.post("/search", json={"query": "my private question"})
        problem(answer, 500, "unexpected")
        assert "secret" not in answer.text
    assert "unexpected RuntimeError at search_many" in caplog.text
    assert "secret" not in caplog.text
    assert "private" not in caplog.text
