"""`quarry search --explain` says what was added to a cosine, and why."""

from quarry.app.cli.printed.answer import _print_result, print_answer
from quarry.indexer.build import index_documents
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder
from tests.indexer.build.test_names import documents


def test_a_passage_that_its_title_raised_says_by_how_much(tmp_path, capsys):
    index_documents(tmp_path, documents(), WordEmbedder())
    results = (
        Searcher.open(tmp_path, embedder=WordEmbedder()).search("apple kiwi", 5, SearchOptions(route="dense")).results
    )
    raised = [result for result in results if result.evidence.named]
    assert raised
    for result in results:
        _print_result(result, ("dense",))
        line = f"raised by {result.evidence.named:.4f}: its title or heading is nearer to the query"
        assert (line in capsys.readouterr().out) == bool(result.evidence.named)


def test_a_stage_that_ranked_nothing_is_not_on_the_lines_of_the_results(tmp_path, capsys):
    index_documents(tmp_path, documents(), WordEmbedder())
    answer = Searcher.open(tmp_path, embedder=WordEmbedder()).search("apple kiwi", 3)
    print_answer(answer, explain=True, many=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("   dense #")]
    assert len(lines) == len(answer.results)
    assert all(" | fused #" in line and "rerank" not in line for line in lines)
