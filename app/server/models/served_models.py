"""What the models of a server are called: a name that says nothing of the machine, other names that are understood, and aliases."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, TypeAlias

from quarry.app.server.models.shared_reranker import SharedReranker
from quarry.app.server.problems import Problem
from quarry.app.server.services import Services
from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message

ModelKind: TypeAlias = Literal["embedder", "reranker", "answers"]
KINDS: tuple[ModelKind, ...] = ("embedder", "reranker", "answers")
_ALIAS = re.compile(r"(?P<name>[^\s=][^=]{0,199})=(?P<kind>embedder|reranker|answers)")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model of a server.

    Attributes:
        id: What `/v1/models` calls it: a repository id, or the last part of a folder; never a path of this machine.
        kind: What it does; `answers` is the index itself, behind `/v1/chat/completions`.
        also: Other names that are understood: the id's last part, and where it was loaded from.
    """

    id: str
    kind: ModelKind
    also: tuple[str, ...] = ()


def served_models(services: Services) -> list[ServedModel]:
    """Return the models of a server: the embedder and the reranker where there are such, and the index, which answers."""
    facts = services.live.searcher.index.manifest.embedder
    reranker, _ = services.live.reranker.get()
    found = [_named(facts.to_spec().model, "embedder")] if facts else []
    if isinstance(reranker, SharedReranker):
        found.append(_named(reranker.name, "reranker"))
    return [*found, ServedModel(services.settings.index.resolve().name or "index", "answers", ("quarry",))]


def check_model(asked: str | None, kind: ModelKind, services: Services) -> str:
    """Return the id of the server's model of a kind.

    Args:
        asked: The name in the request: the id, its last part, where the model was loaded from, or an alias; empty takes any.
        kind: What the request needs.
        services: The server.

    Raises:
        Problem: 404 if the request names another model.
    """
    served = served_models(services)
    ours = [model for model in served if model.kind == kind]
    for model in ours:
        if not asked or asked in (model.id, *model.also) or services.settings.aliases.get(asked) == kind:
            return model.id
    raise no_such_model([model.id for model in ours], kind)


def model_called(name: str, services: Services) -> ServedModel:
    """Return the model that has a name.

    Raises:
        Problem: 404 if none has.
    """
    served = served_models(services)
    kind = services.settings.aliases.get(name)
    for model in served:
        if name in (model.id, *model.also) or model.kind == kind:
            return model
    raise no_such_model([model.id for model in served], "embedder")


def read_aliases(given: Sequence[str]) -> dict[str, ModelKind]:
    """Return the aliases that `--alias` was given, name to kind of model.

    Raises:
        SettingsError: If one is not `NAME=embedder`, `NAME=reranker` or `NAME=answers`.

    Example:
        >>> read_aliases(["text-embedding-3-small=embedder"])
        {'text-embedding-3-small': 'embedder'}
    """
    aliases: dict[str, ModelKind] = {}
    for text in given:
        match = _ALIAS.fullmatch(text)
        kind: Mapping[str, ModelKind] = {each: each for each in KINDS}
        if match is None:
            raise SettingsError(
                "serve.bad_alias",
                "the alias {text} cannot be read",
                expected="NAME=embedder, NAME=reranker or NAME=answers",
                do="Use for example --alias text-embedding-3-small=embedder",
                text=text,
            )
        aliases[match["name"]] = kind[match["kind"]]
    return aliases


def no_such_model(ours: Sequence[str], kind: ModelKind) -> Problem:
    """Return the answer to a request that names another model."""
    message = Message.of(
        "serve.no_such_model",
        "this server has no such model",
        expected="{ours}",
        do="Name it as GET /v1/models does, omit the field, or start the server with --alias NAME={kind}",
        ours=list(ours) or Message.of("serve.no_models", "none: it has no models"),
        kind=kind,
    )
    return Problem(404, message)


def _named(name: str, kind: ModelKind) -> ServedModel:
    path = PurePath(name)
    if path.is_absolute():
        return ServedModel(path.name, kind, (name,))
    return ServedModel(name, kind, (path.name,) if path.name != name else ())
