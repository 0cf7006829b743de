"""Settings of a server: every limit has a name and a default here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

TOKEN_VARIABLE = "QUARRY_TOKEN"  # noqa: S105 (a variable's name)
MIN_TOKEN_CHARS = 16


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Settings of one server.

    Attributes:
        index: The index folder.
        token: Bearer token that requests must carry; empty for none.
        rerank: `none`, `auto`, an id or a folder.
        device: Where models run.
        hosts: Allowed Host headers; empty for any. On loopback this blocks web pages of other origins
            (DNS rebinding).
        public_names: Host names under which browsers reach the server through a proxy; pages of these are its own.
        rate_limit: Requests a minute and key, or client address where there are none; further ones get 429. 0 for any number.
        queue: Maximum number of requests waiting for the models; further ones get 429.
        batch: Maximum number of queries per batch.
        time_limit_s: Time limit of a request, including waiting.
        max_body_bytes: Largest request body.
        max_waiting_bytes: Maximum bytes of acknowledged text waiting to be indexed; further documents get 429.
        read_only: Reject adding and deleting documents.
        poll_s: Interval of checks for a new generation, in seconds.
        also: Other indexes that `/search` searches too.
        default_deny: Whether holders of keys do not see documents without the metadata `allow`.
        aliases: Other names of the server's models, for programs whose model name cannot be changed: name to kind of model.
    """

    index: Path
    token: str = ""
    rerank: str = "late"
    device: str = "auto"
    hosts: tuple[str, ...] = ()
    public_names: tuple[str, ...] = ()
    rate_limit: int = 0
    queue: int = 256
    batch: int = 32
    time_limit_s: float = 30.0
    max_body_bytes: int = 16 * 2**20
    max_waiting_bytes: int = 256 * 2**20
    read_only: bool = False
    poll_s: float = 0.5
    also: tuple[Path, ...] = ()
    default_deny: bool = False
    aliases: Mapping[str, Literal["embedder", "reranker", "answers"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.queue < 1 or self.batch < 1 or self.time_limit_s <= 0 or self.max_body_bytes < 1 or self.rate_limit < 0:
            raise ValueError(
                f"{self}; expected a queue, batch and body limit of at least 1, a time limit above 0 and a rate limit of 0 or more"
            )
