"""Stores as they were written before the header sealed their files."""

import json
from pathlib import Path

import numpy as np


def write_first_exact(folder: Path) -> None:
    """Turn an opened-by-header exact part into files of format 1: `store.json` with the ids, and `vectors.npy`."""
    text, places = (np.load(folder / f"{stem}.000001.npy") for stem in ("ids", "places"))
    limits = places.tolist()
    ids = [text[a:b].tobytes().decode() for a, b in zip(limits[:-1], limits[1:], strict=True)]
    matrix = np.load(folder / "vectors.000001.npy")
    np.save(folder / "vectors.npy", matrix)
    for name in ("ids.000001.npy", "places.000001.npy", "vectors.000001.npy"):
        (folder / name).unlink()
    facts = {"kind": "exact", "dim": matrix.shape[1], "ids": ids}
    (folder / "store.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
