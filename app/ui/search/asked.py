"""What is asked on the Search page, and the page's address, which holds the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from quarry.retriever.ranking import Route

ROUTES: tuple[Route, ...] = ("hybrid", "dense", "bm25")
COUNTS = (5, 10, 20, 50)
DEFAULT_COUNT = 10
MAX_URL_QUERY_CHARS = 1_500  # a longer query stays out of the address: servers refuse long ones


@dataclass(frozen=True, slots=True)
class Asked:
    """What a visitor asks for; the page's address holds the same.

    Attributes:
        query: As typed; empty before the first search.
        route: The first stage.
        rerank: Whether to rerank.
        k: The number of results.
        filters: Metadata keys with the accepted values.
        answer: Whether to show an answer above the results.
        copies: Whether copies are results of their own.
        newest: Whether the results stand by the date of their documents instead of by how well they fit.
        indexes: Names of the indexes that are searched; empty for all.
        rewrite: Whether the language model also searches for simpler questions; for the answer.
    """

    query: str = ""
    route: Route = "hybrid"
    rerank: bool = True
    k: int = DEFAULT_COUNT
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    answer: bool = False
    copies: bool = False
    newest: bool = False
    indexes: tuple[str, ...] = ()
    rewrite: bool = False

    def to_params(self, default: "Asked") -> dict[str, list[str]]:
        """Return the address parameters; defaults are left out, and so is a query that is too long."""
        params: dict[str, list[str]] = {}
        if self.query and len(self.query) <= MAX_URL_QUERY_CHARS:
            params["q"] = [self.query]
        if self.route != default.route:
            params["route"] = [self.route]
        if self.rerank != default.rerank:
            params["rerank"] = ["1" if self.rerank else "0"]
        if self.k != default.k:
            params["k"] = [str(self.k)]
        if self.answer != default.answer:
            params["answer"] = ["1" if self.answer else "0"]
        params |= {name: ["1"] for name, on in (("copies", self.copies), ("rewrite", self.rewrite)) if on}
        if self.newest:
            params["sort"] = ["newest"]
        if self.indexes:
            params["in"] = list(self.indexes)
        if self.filters:
            params["f"] = [f"{quote(key, safe='')}:{value}" for key, values in self.filters for value in values]
        return params

    @classmethod
    def from_params(cls, params: Mapping[str, Sequence[str]], default: "Asked") -> "Asked":
        """Return what an address asks for; invalid parameters are ignored."""
        last = {name: values[-1] for name, values in params.items() if values}
        route = last.get("route", default.route)
        k = last.get("k", "")
        filters: dict[str, list[str]] = {}
        for pair in params.get("f", ()):
            key, colon, value = pair.partition(":")
            if colon and key:
                filters.setdefault(unquote(key), []).append(value)
        return cls(
            query=last.get("q", ""),
            route=route if route in ROUTES else default.route,
            rerank=last.get("rerank", "1" if default.rerank else "0") == "1",
            k=int(k) if k.isascii() and k.isdigit() and int(k) in COUNTS else default.k,
            filters=tuple((key, tuple(values)) for key, values in filters.items()),
            answer=last.get("answer", "1" if default.answer else "0") == "1",
            copies=last.get("copies") == "1",
            newest=last.get("sort") == "newest",
            indexes=tuple(dict.fromkeys(params.get("in", ()))),
            rewrite=last.get("rewrite") == "1",
        )
