"""A model card for a model folder: how it is used everywhere, what it was trained on, what it scored, what to expect of it."""

from collections.abc import Mapping, Sequence
from json import loads
from pathlib import Path
from typing import Any

from quarry.indexer.errors import SettingsError
from quarry.indexer.models.digest import content_digest
from quarry.indexer.models.folder import check_folder, stored_id
from quarry.indexer.models.format import ModelFormat, model_format
from quarry.retriever.benchmark.results.averages import averages
from quarry.retriever.benchmark.results.card import Card, card_scores, read_card
from quarry.retriever.benchmark.results.stored import StoredResult
from quarry.retriever.benchmark.results.tables import markdown_table
from quarry.retriever.benchmark.task_prompts import TaskPrompts, prompts_of

_MARK = "quarry"  # a tag of cards that were written here, which may be written again
_KEPT = ("license", "language", "base_model", "datasets")  # what a former card told, and nothing else tells


def model_card(folder: Path, results: Sequence[StoredResult]) -> Card:
    """Return the card of a model folder with its results; entries of a former card for other data stay.

    Args:
        folder: The model, in sentence-transformers' or transformers' layout.
        results: What it scored; may be empty.

    Raises:
        ModelError: If the folder holds no model that can be used.
        SettingsError: If a README.md is there that was not written by Quarry, or cannot be read.
    """
    config = check_folder(folder)
    shape = model_format(folder, config, stored_id(folder, config))
    before = _before(folder / "README.md")
    record = _record(folder)
    head: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "transformers", "retrieval", "mteb", _MARK],
    }
    head |= {name: before.head[name] for name in _KEPT if before and name in before.head}
    if record.get("base"):
        head.setdefault("base_model", record["base"]["model"])
    entries = merged_entries(
        before.entries if before else (), [entry for result in results for entry in result.entries()]
    )
    card = Card(head, "").with_entries(shape.model.rpartition("/")[2], entries)
    return Card(card.head, _body(folder, shape, record, card))


def merged_entries(before: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return former and new entries of a `model-index`; a new one replaces that of the same data, subset and split."""
    found = {_identity(entry): entry for entry in (*before, *new)}
    return list(found.values())


def score_lines(card: Card) -> str:
    """Return the averages of a card as a Markdown table; empty when it has no scores."""
    scores = list(card_scores(card))
    return markdown_table({card.name or "score": averages(scores)}) if scores else ""


def _identity(entry: Mapping[str, Any]) -> tuple[str, ...]:
    dataset = entry.get("dataset")
    known = dataset if isinstance(dataset, dict) else {}
    return tuple(str(known.get(name, "")) for name in ("name", "config", "split"))


def _before(readme: Path) -> Card | None:
    """Return the former card when Quarry wrote it."""
    if not readme.is_file():
        return None
    card = read_card(readme)
    tags = card.head.get("tags")
    if not isinstance(tags, list) or _MARK not in tags:
        raise SettingsError(
            "benchmark.other_card",
            "{readme} was not written by Quarry",
            expected="no card, or one of ours",
            do="Write elsewhere with --to FILE, or move it away",
            readme=readme,
        )
    return card


def _record(folder: Path) -> dict[str, Any]:
    """Return `training.json`, which a tuned model has; empty for others."""
    path = folder / "training.json"
    try:
        found = loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as err:
        raise SettingsError(
            "benchmark.bad_record",
            "{path} cannot be read ({reason})",
            expected="the file that training wrote",
            do="Copy the model folder again",
            path=path,
            reason=str(err),
        ) from err
    return found if isinstance(found, dict) else {}


def _body(folder: Path, shape: ModelFormat, record: Mapping[str, Any], card: Card) -> str:
    parts = [
        f"# {shape.model}",
        _what(folder, shape, record),
        "## Scores",
        score_lines(card) or "It has not been scored.",
        "## Prompts",
        _prompts(shape),
        "## Usage",
        _usage(shape),
        "## Training data",
        _training(record),
        "## Limits",
        _limits(shape, record),
    ]
    return "\n" + "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _what(folder: Path, shape: ModelFormat, record: Mapping[str, Any]) -> str:
    base = f", tuned from `{record['base']['model']}`" if record.get("base") else ""
    return (
        f"An embedding model{base}. Pooling `{shape.pooling}`, vectors of length 1, at most {shape.max_tokens} tokens. "
        f"SHA-256 digest of its files: `{content_digest(folder)}`."
    )


def _prompts(shape: ModelFormat) -> str:
    lines = [
        f"Queries are asked as `{shape.query_format!r}`, passages are encoded as `{shape.document_format!r}`, with the text in place of "
        "`{query}` and `{text}`."
    ]
    if shape.in_context:
        lines.append(
            "Examples may stand before a query, each the same format filled in and followed by its answer and a blank line."
        )
    family = prompts_of(shape.model)
    if family is not None:
        lines += [
            "",
            f"Instructions per task (`quarry benchmark` uses them; {len(family.tasks)} tasks):",
            "",
            *_instructions(family),
        ]
    return "\n".join(lines)


def _instructions(family: TaskPrompts) -> list[str]:
    rows = {**{f"{kind} (all)": text for kind, text in family.kinds.items()}, **family.tasks}
    return [
        "| task | instruction |",
        "|---|---|",
        *(f"| {task} | {text.replace('|', chr(92) + '|')} |" for task, text in rows.items()),
    ]


def _usage(shape: ModelFormat) -> str:
    query, document = (text.replace("{query}", "{text}") for text in (shape.query_format, shape.document_format))
    pooled = {
        "cls": "states[:, 0]",
        "mean": "(states * mask).sum(1) / mask.sum(1)",
        "last_token": "states[torch.arange(len(states)), inputs.attention_mask.sum(1) - 1]  # padding on the right",
    }[shape.pooling]
    flag = {"cls": "cls", "mean": "mean", "last_token": "last_token"}[shape.pooling]
    dense = "\nIts dense layers follow the pooling; transformers does not apply them.\n" if shape.dense else ""
    return f"""sentence-transformers:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("FOLDER")
queries = model.encode([{query!r}.replace("{{text}}", text) for text in ["..."]], prompt="", normalize_embeddings=True)
passages = model.encode([{document!r}.replace("{{text}}", text) for text in ["..."]], prompt="", normalize_embeddings=True)
scores = queries @ passages.T
```

transformers:

```python
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER", padding_side="right")
model = AutoModel.from_pretrained("FOLDER").eval()
texts = [{query!r}.replace("{{text}}", "...")]
inputs = tokenizer(texts, padding=True, truncation=True, max_length={shape.max_tokens}, return_tensors="pt")
with torch.no_grad():
    states = model(**inputs).last_hidden_state
mask = inputs.attention_mask.unsqueeze(-1)
vectors = torch.nn.functional.normalize({pooled}, dim=1)
```
{dense}
FlagEmbedding:

```python
from FlagEmbedding import FlagAutoModel

model = FlagAutoModel.from_finetuned("FOLDER", model_class="encoder-only-base", pooling_method="{flag}", normalize_embeddings=True)
queries = model.encode([{query!r}.replace("{{text}}", text) for text in ["..."]])
```

Quarry:

```bash
quarry index docs --into my-index --model FOLDER
quarry search my-index "..."
```"""


def _training(record: Mapping[str, Any]) -> str:
    if not record:
        return "The folder does not tell what it was trained on."
    lines = [
        f"- {record.get('rows', '?')} rows, SHA-256 digest of their content (first 16 digits) `{record.get('rows_digest', '')}`",
        f"- base model `{record['base']['model']}`, revision `{record['base']['revision']}`"
        if record.get("base")
        else "",
        f"- dev split, digest `{record['dev_digest']}`" if record.get("dev_digest") else "- no dev split",
        f"- {record.get('steps', '?')} steps; settings are in `training.json`",
    ]
    return "\n".join(line for line in lines if line)


def _limits(shape: ModelFormat, record: Mapping[str, Any]) -> str:
    lines = [
        f"- Text past {shape.max_tokens} tokens is cut.",
        "- Scores are those of the data sets above; on other texts and languages it may do worse. Measure it on your own questions "
        "with `quarry evaluate`.",
        "- Cosines are comparable within this model only, and a threshold holds for one kind of text.",
    ]
    if record.get("dev"):
        lines.append("- The dev split chose among checkpoints, so its score is no proof.")
    if record:
        lines.append(
            "- It was tuned on few texts beside its base model's: it may have lost on kinds of text that are not among them."
        )
    return "\n".join(lines)
