"""A collection in which every document has words that no other has, readers with keys, and questions that try to get at them."""

import random
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from quarry.app.keys import add_key
from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import index_documents
from quarry.indexer.principals import Principals
from quarry.indexer.records import Document
from quarry.training.feedback.log import FeedbackEvent, FeedbackLog, ShownHit, feedback_path
from tests.app.server.serving import Served, served
from tests.fakes import WordEmbedder

GROUPS = ("ann", "bob", "staff", "board", "guests", "财务")
COMMON = [
    "library",
    "books",
    "renewal",
    "loans",
    "heating",
    "valve",
    "winter",
    "opening",
    "hours",
    "图书",
    "续借",
    "暖气",
    "阀门",
    "冬天",
    "开放",
    "时间",
]
_SYLLABLES = ["ba", "ke", "ri", "mo", "tu", "sa", "ne", "vo", "li", "dor", "gan", "pel"]


@dataclass(frozen=True)
class Planted:
    """A document with the words that nothing else has."""

    document: Document
    canaries: tuple[str, ...]


@dataclass(frozen=True)
class Reader:
    """Somebody with a key."""

    name: str
    principals: Principals
    secret: str
    hidden: tuple[Planted, ...]
    words: frozenset[str]  # that only hidden documents have


@dataclass(frozen=True)
class World:
    """A server with documents and readers."""

    one: Served
    planted: tuple[Planted, ...]
    readers: tuple[Reader, ...]


def plant(rng: random.Random, count: int) -> list[Planted]:
    """Make documents: half of them for some groups, some for nobody, some copies of others with other readers."""
    found: list[Planted] = []
    for number in range(count):
        words = tuple(_word(rng, number, place) for place in range(5))
        name, title, heading, inner, note = words
        text = f"# {heading}\n\n{' '.join(rng.choices(COMMON, k=12))} {inner}. {' '.join(rng.choices(COMMON, k=8))} 第{number}号。"
        if found and rng.random() < 0.15:
            text = rng.choice(found).document.text
            heading = inner = ""
        meta: dict[str, Any] = {"source": f"{name}.md", "note": note, f"key{note}": "1", "year": 2000 + number % 20}
        rule = rng.choice(("some", "some", "some", "nobody", "everybody", "public", "public"))
        if rule == "some":
            meta["allow"] = rng.sample(GROUPS, rng.randint(1, 3))
        elif rule == "nobody":
            meta["allow"] = []
        elif rule == "everybody":
            meta["Allow"] = "*"
        document = Document(f"{name}.md", text, f"The {title} {rng.choice(COMMON)}", meta)
        found.append(Planted(document, tuple(word for word in (name, title, heading, inner, note) if word)))
    return found


def _word(rng: random.Random, number: int, place: int) -> str:
    return "".join(rng.choices(_SYLLABLES, k=3)) + f"q{number}z{place}"


@contextmanager
def world(folder: Path, seed: int, *, documents: int = 40, readers: int = 8, deny: bool = False) -> Iterator[World]:
    """Run a server over planted documents, with one reader per key."""
    rng = random.Random(seed)
    planted = plant(rng, documents)
    embedder = WordEmbedder()
    index = folder / "index"
    half = documents // 2
    index_documents(index, [each.document for each in planted[:half]], embedder)
    index_documents(index, [each.document for each in planted[half:]], embedder)
    with FeedbackLog.open(feedback_path(index)) as log:
        for each in planted:
            shown = (ShownHit(f"{each.document.doc_id}#0-1", each.document.doc_id, 1, 1.0, "bm25"),)
            log.append(
                FeedbackEvent(each.canaries[0], "thumb_up", "s", "000001", "", each.document.doc_id, 2, shown=shown)
            )
    keys = []
    for number in range(readers):
        names = rng.sample(GROUPS, rng.randint(0, 3))
        principals = Principals.of(names, unlabeled=not deny)
        secret = add_key(index, f"reader{number}", names)
        hidden = tuple(each for each in planted if not principals.may_see(each.document.meta))
        seen = " ".join(str(each.document) for each in planted if each not in hidden)
        words = frozenset(word for each in hidden for word in each.canaries if word not in seen)
        keys.append(Reader(f"reader{number}", principals, secret, hidden, words))
    with ExitStack() as stack:
        options = ServeOptions(index, rerank="none", default_deny=deny)
        one = stack.enter_context(served(options, embedder))
        yield World(one, tuple(planted), tuple(keys))


def leaks(asked: str, answered: str, reader: Reader) -> list[str]:
    """Return the words of hidden documents that an answer has and its request does not."""
    asked, answered = asked.casefold(), answered.casefold()
    return [word for word in reader.words if word in answered and word not in asked]


def question(rng: random.Random, planted: tuple[Planted, ...]) -> str:
    """Return a question: plain, or with a word of some document, whole, in quotes, left out, cut or misspelled."""
    words = rng.sample(COMMON, rng.randint(1, 4))
    canary = rng.choice(rng.choice(planted).canaries)
    form = rng.randrange(8)
    if form == 1:
        words.append(canary)
    elif form == 2:
        words.append(f'"{canary}"')
    elif form == 3:
        words.append(f"-{canary}")
    elif form == 4:
        words.append(canary[:-4])
    elif form == 5:
        words.append(canary.replace("a", "e", 1))
    elif form == 6:
        words = [f"{canary}.md"]
    return " ".join(words)


def said_before(target: Planted) -> dict[str, Any]:
    """Return an earlier question whose answer claims to have cited a document."""
    whole = f"{target.document.doc_id}#0-{len(target.document.text)}"
    return {"question": "what of the books", "answer": "all", "cited": [whole, target.document.doc_id]}


def request(rng: random.Random, planted: tuple[Planted, ...]) -> tuple[str, str, dict[str, Any] | None]:
    """Return method, path and body of a request at a random door."""
    asked, target = question(rng, planted), rng.choice(planted)
    name = rng.choice((target.document.doc_id, target.document.title, target.canaries[0][:6], "md"))
    filters = rng.choice(
        (
            None,
            None,
            {"note": rng.choice(target.canaries)},
            {f"key{target.canaries[-1]}": "1"},
            {"year": ">=2005"},
            {"x": "1"},
        )
    )
    search = {
        "query": asked,
        "k": rng.choice((1, 3, 10, 50)),
        "route": rng.choice(("hybrid", "bm25", "dense")),
        "filters": filters,
        "collapse": rng.random() < 0.7,
        "expand": rng.choice(("none", "section", "neighbors")),
        "strength": rng.random() < 0.3,
    }
    doors: list[tuple[int, tuple[str, str, dict[str, Any] | None]]] = [
        (8, ("POST", "/search", search)),
        (2, ("POST", "/ask", {"question": asked, "filters": filters, "expand": search["expand"]})),
        (1, ("POST", "/ask", {"question": "and then?", "before": [said_before(target)]})),
        (1, ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": asked}]})),
        (1, ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": asked}], "stream": True})),
        (2, ("POST", "/why-not", {"query": asked, "document": name, "filters": filters, "k": 3})),
        (1, ("GET", f"/documents/{target.document.doc_id}", None)),
        (1, ("GET", f"/originals/{target.document.doc_id}", None)),
        (2, ("GET", f"/documents?name={rng.choice(('', target.canaries[0][:5], 'the'))}&count=1000", None)),
        (1, ("GET", f"/documents?filter=note%3D{target.canaries[-1]}", None)),
        (1, ("GET", f"/documents?filter=year>={2000 + rng.randrange(20)}", None)),
        (1, ("GET", "/roots", None)),
        (1, ("GET", "/health", None)),
        (1, ("GET", "/metrics", None)),
        (1, ("POST", "/documents/delete", {"ids": [target.document.doc_id], "dry_run": True})),
        (1, ("DELETE", f"/documents/{target.document.doc_id}", None)),
        (1, ("GET", "/v1/models", None)),
        (1, ("POST", "/local/search", {"query": asked, "k": 10, "options": {}})),
        (
            1,
            (
                "POST",
                "/feedback",
                {"query": asked, "session": "s", "action": "thumb_up", "doc_id": target.document.doc_id},
            ),
        ),
    ]
    return rng.choices([door for _, door in doors], [weight for weight, _ in doors])[0]


_SKIPPED_FIELDS = re.compile(r'"(?:milliseconds|generation|model|number)":\s*(?:"[^"]*"|[\d.eE+-]+)')


def comparable(text: str) -> str:
    """Return an answer without times and names of generations."""
    return _SKIPPED_FIELDS.sub("", text)


def send(client: httpx.Client, reader: Reader, asked: tuple[str, str, dict[str, Any] | None]) -> httpx.Response:
    """Send a request with a reader's key."""
    method, path, body = asked
    return client.request(method, path, json=body, headers={"Authorization": f"Bearer {reader.secret}"})


def without_leaks(where: World, rng: random.Random, pairs: int) -> dict[str, int]:
    """Send random requests with random keys; return how many answers of each status there were.

    Raises:
        AssertionError: If an answer has a word of a hidden document.
    """
    statuses: dict[str, int] = {}
    for _ in range(pairs):
        reader, asked = rng.choice(where.readers), request(rng, where.planted)
        answer = send(where.one.client, reader, asked)
        said = f"{answer.text} {answer.headers}"
        assert not leaks(str(asked), said, reader), (reader.name, asked, leaks(str(asked), said, reader), said[:2_000])
        assert answer.status_code < 500, (asked, answer.text)
        door = f"{asked[1].partition('?')[0].split('/')[1]} {answer.status_code}"
        statuses[door] = statuses.get(door, 0) + 1
    return statuses
