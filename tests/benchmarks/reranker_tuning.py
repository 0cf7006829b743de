"""What `quarry tune --what reranker` brings: `python -m tests.benchmarks.reranker_tuning WORK SET PAIRS SEED [KEY=VALUE]`.

The cross-encoder is made of the offline model (`--reranker from-encoder`: its layers and a new head), because no released reranker
can be had without a model hub. Index, questions and pairs are those of `python -m tests.benchmarks.tuning WORK build`. The live
answers are those of hybrid search without a reranker; the tuned one reorders the first DEPTH of them. The result is printed, and
kept in WORK/SET/rerankers. KEY=VALUE changes a training setting.
"""

import json
import shutil
import sys
from pathlib import Path
from time import perf_counter

from quarry.demo_corpus import general_path
from quarry.training.examples.split import SplitSpec
from quarry.training.fit.spec import RerankerSpec, train_preset
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning import tune
from quarry.training.tuning.plan import TuningPlan, TuningSources
from quarry.training.tuning.reranker.base import FROM_ENCODER
from tests.benchmarks.tuning import Watch, changed, numbers

DEPTH = 20


def run(work: Path, name: str, pairs: int, seed: int, changes: dict[str, str]) -> None:
    folder = work / name
    copy = folder / f"copy-reranker-{pairs}-{seed}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "index", copy)
    plan = TuningPlan(
        general=general_path(),
        sources=TuningSources(feedback=False, pairs=(folder / "pairs.jsonl",), most=pairs),
        split=SplitSpec(seed=seed),
        evaluate=folder / "judged",
        negatives=NegativeSpec(number=7, seed=seed),
        spec=RerankerSpec.of(changed(train_preset(reranker=True, device="cpu", seed=seed), changes)),
        reranker=FROM_ENCODER,
        route="hybrid",
        rerank_depth=DEPTH,
        promote=False,
    )
    began = perf_counter()
    report = tune(copy, plan, run="benchmark", observer=Watch())
    seconds = perf_counter() - began
    facts = {
        "set": name,
        "pairs": pairs,
        "seed": seed,
        "changes": changes,
        "seconds": round(seconds),
        "dev": report.dev,
        "examples": {str(what): count for what, count in report.examples.items()},
        "verdict": str(report.verdict.message()),
        "held_out": numbers(report.verdict.held_out),
    }
    result = folder / "rerankers" / f"{pairs}-{seed}{''.join(f'-{key}={value}' for key, value in changes.items())}.json"
    result.parent.mkdir(exist_ok=True)
    result.write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    shutil.rmtree(copy)
    print(f"{name} {result.stem}: dev {report.dev}; {report.verdict.message()} ({seconds:.0f} s)", flush=True)


def main() -> None:
    work, name, pairs, seed, *changes = sys.argv[1:]
    run(Path(work), name, int(pairs), int(seed), dict(change.split("=", 1) for change in changes))


if __name__ == "__main__":
    main()
