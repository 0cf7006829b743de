"""The folder of a tuned model: plain weights that transformers, sentence-transformers and Quarry read alike.

It carries its pooling, formats, base model and data digest. No time and no path is in a file that decides its digest, so
that the same run gives the same model.
"""

import shutil
from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.models.format import write_profile
from quarry.indexer.storage.files.durable import write_atomic
from quarry.training.fit.models.trainable import Trainable, merge_adapters

MARK = "+tuned-"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "spiece.model",
)


def tuned_name(base: str, digest: str) -> str:
    """Return the name of a model tuned from `base`; tuning it again gives another digest, not a longer name."""
    return f"{base.partition(MARK)[0]}{MARK}{digest[:8]}"


def write_tuned(trainable: Trainable, folder: Path, *, digest: str, record: Mapping[str, Any]) -> None:
    """Write the model with everything that it needs to be used as it was trained.

    Args:
        trainable: Its adapters are merged.
        folder: Made here; nobody else looks at it yet.
        digest: The run's digest: settings, base and data.
        record: What `training.json` and the model card tell: `base`, `rows`, `spec` and so on.
    """
    merge_adapters(trainable.model)
    shape = trainable.shape
    heads = shape.query_format.split("{query}", 1)[0], shape.document_format.split("{text}", 1)[0]
    trainable.model.prompts = {"query": heads[0], "document": heads[1]}
    trainable.model.save(str(folder), create_model_card=False)
    spec = EmbedderSpec(
        model=tuned_name(shape.model, digest),
        revision=digest,
        dim=trainable.dim,
        max_tokens=shape.max_tokens,
        pooling=shape.pooling,
        query_format=shape.query_format,
        document_format=shape.document_format,
        origin="path",
    )
    write_profile(folder, spec, in_context=shape.in_context)
    write_beside(folder, trainable.folder, record, model_card(spec, record))


def write_beside(folder: Path, base: Path, record: Mapping[str, Any], card: str) -> None:
    """Write what lies beside the weights of any tuned model: the base model's tokenizer, `training.json`, the model card."""
    # transformers re-serializes the tokenizer, sometimes with different ids: keep the base model's files
    for path in base.iterdir():
        if path.name in TOKENIZER_FILES:
            shutil.copyfile(path, folder / path.name)
    write_atomic(folder / "training.json", dumps(record, ensure_ascii=False, indent=1, sort_keys=True).encode())
    write_atomic(folder / "README.md", card.encode())


def dev_words(record: Mapping[str, Any], over: str = "") -> str:
    """Return what a model card says about the dev score; `over` tells what the queries were asked over."""
    scores = record.get("dev")
    if not scores:
        return "It was not measured while it was trained."
    return (
        f"nDCG@10 on the {scores['queries']} queries of its dev split{over}, which chose among its checkpoints and is therefore "
        f"no proof: {scores['before']:.4f} before, {scores['after']:.4f} after."
    )


def _elsewhere(spec: EmbedderSpec) -> str:
    """Return how sentence-transformers computes the same vectors, which puts text before a query but not behind it."""
    tails = [spec.query_format.partition("{query}")[2], spec.document_format.partition("{text}")[2]]
    if not any(tails):
        return "With sentence-transformers: `model.encode_query(...)` and `model.encode_document(...)`."
    return (
        "sentence-transformers' `encode_query` and `encode_document` put only what stands before the text in front of it: format "
        'texts yourself there, and call `encode(..., prompt="")`.'
    )


def model_card(spec: EmbedderSpec, record: Mapping[str, Any]) -> str:
    """Return the text of README.md: what it is, what it was made of, how to use it."""
    measured = dev_words(record)
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, retrieval, quarry]
---
# {spec.model}

An embedding model tuned from `{record["base"]["model"]}` (revision `{record["base"]["revision"]}`) on {record["rows"]} rows
(digest `{record["rows_digest"]}`), {record["steps"]} steps. Vectors have {spec.dim} dimensions and length 1.

{measured}

Use it as it was trained: pooling `{spec.pooling}`; queries as `{spec.query_format!r}`; passages as
`{spec.document_format!r}`; at most {spec.max_tokens} tokens. Quarry reads all that from `quarry.json`. {_elsewhere(spec)}

Settings and digests are in `training.json`.
"""


def add_versions(card: Path, versions: Mapping[str, str]) -> None:
    """Add package versions to a model card: there they do not decide the model's digest, as they would in a JSON file."""
    told = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    write_atomic(card, f"{card.read_text(encoding='utf-8')}\nMade with {told}.\n".encode())


def write_curves(path: Path, losses: list[tuple[int, float]], scores: list[tuple[int, float]]) -> bool:
    """Draw loss and dev score over the steps, side by side, as a PNG; False when matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(*zip(*losses, strict=True) if losses else ([], []), color="tab:blue")
    left.set(title="Training loss (lower is better)", xlabel="training step", ylabel="loss")
    right.plot(*zip(*scores, strict=True) if scores else ([], []), color="tab:orange", marker="o")
    right.set(title="Dev queries (higher is better)", xlabel="training step", ylabel="nDCG@10, 0 to 1")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    if not scores:
        right.text(0.5, 0.5, "no dev queries", ha="center", va="center", transform=right.transAxes)
    figure.savefig(path, dpi=120)
    return True
