"""The head of a model card: the hub's `model-index`, read and written without loss.

huggingface_hub's `ModelCard` joins entries of one data set (68 entries of bge-large-en's card become 56), so the YAML is kept as it is.
Scores are percentages there, as mteb's cards have them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from quarry.indexer.errors import SettingsError
from quarry.retriever.benchmark.results.averages import TaskScore

_HEAD = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"(?:MTEB )?(\S+)(?: \((.+)\))?")
# the main measure of a kind by the names that cards have used, the oldest last
_MAIN: Mapping[str, tuple[str, ...]] = {
    "Retrieval": ("ndcg_at_10",),
    "Reranking": ("map", "map_at_1000"),
    "Clustering": ("v_measure",),
    "PairClassification": ("cos_sim_ap", "cosine_ap", "max_ap"),
    "STS": ("cos_sim_spearman", "cosine_spearman"),
    "Summarization": ("cos_sim_spearman", "cosine_spearman"),
    "Classification": ("accuracy",),
    "BitextMining": ("f1",),
}


@dataclass(frozen=True, slots=True)
class Card:
    """A model card.

    Attributes:
        head: The YAML in front.
        body: The text behind it.
    """

    head: Mapping[str, Any]
    body: str

    @property
    def entries(self) -> tuple[Mapping[str, Any], ...]:
        """The results of `model-index`: one per data set, subset and split."""
        return tuple(
            entry for model in self._models() for entry in model.get("results") or () if isinstance(entry, dict)
        )

    @property
    def name(self) -> str:
        """The model's name in `model-index`; empty when there is none."""
        return next((str(model.get("name", "")) for model in self._models()), "")

    def with_entries(self, name: str, entries: Sequence[Mapping[str, Any]]) -> "Card":
        """Return the card with these results."""
        head = dict(self.head)
        head.pop("model-index", None)
        if entries:
            head["model-index"] = [{"name": name, "results": [dict(entry) for entry in entries]}]
        return replace(self, head=head)

    def text(self) -> str:
        """Return the card as it is written."""
        return f"---\n{_yaml(self.head)}---\n{self.body}"

    def _models(self) -> list[Mapping[str, Any]]:
        models = self.head.get("model-index")
        return [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []


def read_card(path: Path) -> Card:
    """Read a model card.

    Args:
        path: A README.md, or the folder that holds it.

    Raises:
        SettingsError: If it cannot be read, or has no YAML head.
    """
    path = path / "README.md" if path.is_dir() else path
    try:
        text = path.read_text(encoding="utf-8")
        found = _HEAD.match(text)
        head = yaml.load(found.group(1), Loader=_loader()) if found else None  # noqa: S506 (a SafeLoader, in C where it can be)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise _bad_card(path, str(err)) from err
    if found is None or not isinstance(head, dict):
        raise _bad_card(path, "it has no YAML between two lines of ---")
    return Card(head, text[found.end() :])


def card_scores(card: Card) -> Iterator[TaskScore]:
    """Yield the main scores of a card's entries; entries without a known main measure are left out."""
    for entry in card.entries:
        kind = str(_part(entry, "task").get("type", ""))
        dataset = _part(entry, "dataset")
        title = _TITLE.fullmatch(str(dataset.get("name", "")))
        value = _main(kind, entry.get("metrics"))
        if title is not None and value is not None:
            yield TaskScore(title[1], kind, value, str(dataset.get("config") or title[2] or "default"))


def _main(kind: str, metrics: Any) -> float | None:
    found = {
        str(metric.get("type")): metric.get("value")
        for metric in (metrics if isinstance(metrics, list) else ())
        if isinstance(metric, dict)
    }
    for name in (*_MAIN.get(kind, ()), "main_score"):
        value = found.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def _part(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _loader() -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _yaml(head: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(head), sort_keys=False, allow_unicode=True, width=1 << 20) if head else ""


def _bad_card(path: Path, reason: str) -> SettingsError:
    return SettingsError(
        "benchmark.bad_card",
        "{path} is no model card ({reason})",
        expected="a README.md that begins with YAML between lines of ---",
        do="Give the card, or the folder that holds it",
        path=path,
        reason=reason,
    )
