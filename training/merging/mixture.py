"""Mixing a tuned model with its base, weight by weight, against forgetting: LM-Cocktail (Xiao et al. 2023, arXiv 2311.13534).

Only safetensors are read and written, and the base and the tuned folder stay as they are.
"""

import shutil
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import check_folder, read_json
from quarry.indexer.models.format import ModelFormat, model_format, write_profile
from quarry.indexer.storage.files.durable import sync_folder, sync_tree, write_atomic
from quarry.training.fit.models.model_folder import MARK, tuned_name
from quarry.training.fit.run_folder import digest_of

_SUFFIX = ".safetensors"
_RECORD = "training.json"


def merge_models(base: Path, tuned: Path, out: Path, *, alpha: float) -> Path:
    """Write (1 - alpha) * base + alpha * tuned as a model folder of its own.

    Args:
        base: The model before training.
        tuned: What `finetune` made of it.
        out: Must not exist; it appears whole or not at all.
        alpha: Share of the tuned model, 0 to 1; 1 is the tuned model, 0 the base. LM-Cocktail's usual share is 0.5.

    Returns:
        `out`.

    Raises:
        ModelError: If the two folders do not hold the same weights with the same shapes and pooling, `out` exists, or it
            cannot be written.
        ValueError: If alpha is not in [0, 1].
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha is {alpha}; expected 0 to 1, the share of the tuned model")
    if out.exists():
        raise ModelError(
            "fit.mixture_exists", "{folder} exists", expected="a new folder", do="Choose another", folder=out
        )
    shape = _common_format(base, tuned)
    sources = _weight_files(base)
    from safetensors import SafetensorError

    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(tuned, part)
        for file in sorted(part.rglob(f"*{_SUFFIX}")):
            _mix(file, sources, alpha)
        _describe(part, shape, alpha)
        sync_tree(part)
        part.rename(out)
        sync_folder(out.parent)
    except (OSError, SafetensorError) as err:
        raise ModelError(
            "fit.mixture_not_written",
            "{folder} cannot be written ({why})",
            expected="a folder with room",
            do="Make room or choose another",
            folder=out,
            why=str(err),
        ) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def _common_format(base: Path, tuned: Path) -> ModelFormat:
    """The tuned model's format; but for the instruction of queries it must be the base's, or vectors of a mixture mean nothing."""
    shapes = [model_format(folder, check_folder(folder), _named(folder)) for folder in (base, tuned)]
    first, second = ((s.pooling, s.document_format) for s in shapes)
    if first != second:
        raise ModelError(
            "fit.other_format",
            "{base} is used as {base_format} and {tuned} as {tuned_format}",
            expected="the same",
            do="Give the tuned model's base",
            base=base,
            base_format=str(first),
            tuned=tuned,
            tuned_format=str(second),
        )
    return shapes[1]


def _named(folder: Path) -> str:
    from quarry.indexer.models.folder import stored_id

    return stored_id(folder, read_json(folder / "config.json"))


def _weight_files(folder: Path) -> dict[str, Path]:
    """Name of each weight, with its sub-folder, to the file that holds it."""
    from safetensors import safe_open

    found: dict[str, Path] = {}
    for path in sorted(folder.rglob(f"*{_SUFFIX}")):
        with safe_open(path, framework="pt") as file:
            found |= {f"{path.parent.relative_to(folder).as_posix()}:{name}": path for name in file.keys()}  # noqa: SIM118 (it has no __iter__)
    return found


def _mix(path: Path, sources: dict[str, Path], alpha: float) -> None:
    """Replace a file of tuned weights by the mixture, in float32 arithmetic and the tuned weights' own type."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    mixed = {}
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        for name, base in _pairs(path, list(file.keys()), sources):
            tuned = file.get_tensor(name)
            if tuned.shape != base.shape:
                raise ModelError(
                    "fit.other_shape",
                    "{name} has the shape {base} in the base and {tuned} in the tuned model",
                    expected="the same",
                    do="Give the tuned model's base",
                    name=name,
                    base=str(tuple(base.shape)),
                    tuned=str(tuple(tuned.shape)),
                )
            if not tuned.is_floating_point():
                mixed[name] = tuned
                continue
            mixed[name] = base.float().lerp(tuned.float(), alpha).to(tuned.dtype).contiguous()
    temp = path.with_name(f".{path.name}.mixed")
    save_file(mixed, temp, metadata=metadata)
    temp.replace(path)


def _pairs(path: Path, names: list[str], sources: dict[str, Path]) -> Iterator[tuple[str, Any]]:
    from safetensors import safe_open

    part = path
    while part.suffix != ".part":
        part = part.parent
    place = path.parent.relative_to(part).as_posix()
    missing = sorted(name for name in names if f"{place}:{name}" not in sources)
    if missing:
        raise ModelError(
            "fit.missing_weights",
            "the base lacks {missing} of {count} weights, first {first}",
            expected="all of them",
            do="Give the tuned model's base",
            missing=len(missing),
            count=len(names),
            first=missing[0],
        )
    for name in names:
        with safe_open(sources[f"{place}:{name}"], framework="pt") as file:
            yield name, file.get_tensor(name)


def _describe(folder: Path, shape: ModelFormat, alpha: float) -> None:
    record = read_json(folder / _RECORD) | {"merged": {"method": "LM-Cocktail, arXiv 2311.13534", "alpha": alpha}}
    earlier = read_json(folder / "quarry.json")
    digest = digest_of([earlier.get("revision", shape.model), alpha])
    spec = EmbedderSpec(
        model=tuned_name(shape.model, digest),
        revision=digest,
        dim=int(read_json(folder / "config.json")["hidden_size"]),
        max_tokens=shape.max_tokens,
        pooling=shape.pooling,
        query_format=shape.query_format,
        document_format=shape.document_format,
    )
    write_profile(folder, spec, in_context=shape.in_context)
    write_atomic(folder / _RECORD, dumps(record, ensure_ascii=False, indent=1, sort_keys=True).encode())
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    head, mark, tail = text.partition(MARK)
    renamed = f"{head}{mark}{digest[:8]}{tail[8:]}" if mark else text
    note = f"\nMixed with its base afterwards: {alpha:g} of the tuned weights, {1 - alpha:g} of the base's (LM-Cocktail).\n"
    write_atomic(card, (renamed + note).encode())
