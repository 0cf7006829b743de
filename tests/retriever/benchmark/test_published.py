"""Published averages beside ours."""

import pytest

from quarry.indexer.models.profiles import EMBEDDERS
from quarry.retriever.benchmark.results.averages import TaskScore, averages
from quarry.retriever.benchmark.results.published import published, published_table

COUNTS = {
    "MTEB(eng, v1)": {"Retrieval": 15, "Clustering": 11, "PairClassification": 3, "Reranking": 4, "STS": 10, "Summarization": 1,
                      "Classification": 12},
    "C-MTEB": {"Retrieval": 8, "Reranking": 4, "Clustering": 4, "PairClassification": 2, "Classification": 9, "STS": 8},
}  # fmt: skip  # a table


@pytest.mark.parametrize("row", published(), ids=lambda row: f"{row.model} {row.benchmark}")
def test_a_published_average_is_that_of_its_kinds(row):
    counts = COUNTS[row.benchmark]
    assert row.model in {profile.model for profile in EMBEDDERS}
    assert set(row.kinds) <= set(counts)
    if set(row.kinds) == set(counts):
        total = sum(row.kinds[kind] * counts[kind] for kind in counts) / sum(counts.values())
        assert row.average == pytest.approx(total, abs=0.06 if "KaLM" not in row.model else 0.3)


def test_ours_stand_below_and_what_is_not_here_says_so():
    first, second, third = published()[:3]
    ours = {(first.model, first.benchmark): averages([TaskScore("NQ", "Retrieval", 50.0)])}
    lines = published_table([first, second, third], ours, [first.model, second.model]).splitlines()
    assert lines[2].startswith(f"| {first.model} | MTEB(eng, v1) | its model card")
    assert lines[3].startswith("|  |  | here | 50.00 (1 tasks) | 50.00 (1) | - |")
    assert "| here | not measured |" in lines[5]
    assert "| here | not at hand |" in lines[7]
