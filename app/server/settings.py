"""What a server is started with: every limit has a name and a default here."""

from dataclasses import dataclass
from pathlib import Path

TOKEN_VARIABLE = "QUARRY_TOKEN"  # noqa: S105 (a variable's name)
MIN_TOKEN_CHARS = 16


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Settings of one server.

    Attributes:
        index: The index folder.
        token: Bearer token that requests must carry; empty for none.
        rerank: `none`, `auto`, an id or a folder.
        device: Where models run.
        hosts: Names that the Host header may have; empty for any. On loopback it keeps web pages of other names out
            (DNS rebinding).
        queue: Requests that may wait for the models; further ones get 429.
        batch: Queries that are answered together at most.
        time_limit_s: Wall time of a request, waiting included.
        max_body_bytes: Largest request body.
        max_waiting_bytes: Texts of acknowledged documents that may wait for indexing; further ones get 429.
        read_only: Whether documents can be neither added nor deleted.
        poll_s: How often it is looked whether there is a new generation.
    """

    index: Path
    token: str = ""
    rerank: str = "none"
    device: str = "auto"
    hosts: tuple[str, ...] = ()
    queue: int = 256
    batch: int = 32
    time_limit_s: float = 30.0
    max_body_bytes: int = 16 * 2**20
    max_waiting_bytes: int = 256 * 2**20
    read_only: bool = False
    poll_s: float = 0.5

    def __post_init__(self) -> None:
        if self.queue < 1 or self.batch < 1 or self.time_limit_s <= 0 or self.max_body_bytes < 1:
            raise ValueError(f"{self}; expected a queue, batch and body limit of at least 1 and a time limit above 0")
