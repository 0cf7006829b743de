"""A cold `quarry search` imports what one hybrid search needs, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.models.format import write_profile
from tests.app.running import quarry
from tests.indexer.models.tiny_models import make_model

ROOT = Path(__file__).resolve().parents[3]
NEVER = [
    "transformers",
    "sentence_transformers",
    "streamlit",
    "lancedb",
    "pyarrow",
    "pandas",
    "scipy",
    "faiss",
    "huggingface_hub",
    "sympy",
    "torch._dynamo",
    "torch._inductor",
    "openpyxl",
    "docx",
    "quarry.training",
    "quarry.indexer.build",
    "quarry.app.cli.commands.tune",
    "quarry.app.cli.commands.index",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("cold")
    model = make_model(root / "model", "xlm-roberta")
    write_profile(model, EmbedderSpec("me/own", "r", 32, 500, "mean"))
    (root / "docs").mkdir()
    (root / "docs" / "a.md").write_text("# Loans\n\nRenew books twice online.", encoding="utf-8")
    (root / "docs" / "b.md").write_text("# 借书\n\n可以在网上续借两次图书。", encoding="utf-8")
    built = quarry("index", root / "docs", "--into", root / "index", "--model", model)
    assert built.returncode == 0, built.stderr
    return root / "index"


@pytest.mark.parametrize("question", ["how do I renew a book?", "怎么续借图书？"])
def test_a_cold_hybrid_search_imports_no_heavy_library(index, question):
    code = (
        "import json, sys; from quarry.app.cli import main; sys.argv[0] = 'quarry'\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"print(json.dumps({{'code': code, 'loaded': [name for name in {NEVER!r} if name in sys.modules]}}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "search", str(index), question, "--json"], cwd=ROOT, capture_output=True, text=True
    )
    answer, imported = map(json.loads, ran.stdout.splitlines())
    stages = {stage["stage"]: stage["status"] for stage in answer["stages"]}
    assert (stages["dense"], stages["bm25"], stages["fusion"]) == ("ran", "ran", "ran")
    assert imported == {"code": 0, "loaded": []}
