"""A language model as a source of a run: the cost comes first, answers are kept, unrelated queries go, silence is said."""

import json
import re

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.errors import ModelError, TrainingError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.training.tuning.data.gather import gather
from quarry.training.tuning.data.synthetic_source import ANSWERS, examples_by_language_model
from quarry.training.tuning.plan import SyntheticSource, TuningPlan, TuningSources, Unwatched
from tests.fakes import WordEmbedder
from tests.training.examples.test_synthetic import chat, server
from tests.training.reasons import said

__all__ = ["server"]

TEXTS = [
    f"The {word} stands in room {n} and may be used by every reader of the house."
    for n, word in enumerate(
        ("printer", "scanner", "microscope", "telescope", "piano", "loom", "kiln", "lathe", "press", "camera")
    )
]
TEXTS += [
    f"{word}在{n}号房间，每位读者都可以使用，请先预约。"
    for n, word in enumerate(("打印机", "扫描仪", "显微镜", "望远镜"))
]


class Told(Unwatched):
    def __init__(self):
        self.sentences = []

    def stage(self, message):
        self.sentences.append(str(message))


@pytest.fixture
def index(tmp_path):
    documents = [Document(f"d{n}", text) for n, text in enumerate([*TEXTS, TEXTS[0], "short"])]
    index_documents(tmp_path / "index", documents, WordEmbedder())
    return Index.open(tmp_path / "index")


def writes(body):
    """One query out of the passage's own words, and one about something else."""
    passage = json.loads(body)["messages"][0]["content"].split("<passage>\n")[1].split("\n</passage>")[0]
    if passage.startswith("The"):
        return chat(json.dumps([f"{passage.split()[1]} in which room", "weather forecast tomorrow"]))
    return chat(json.dumps([f"{passage.split('，')[0]}可以使用吗", "明天天气怎么样"], ensure_ascii=False))


def ask(index, server, folder, count=50, **changes):
    told = Told()
    found = examples_by_language_model(
        index, WordEmbedder(), SyntheticSource(count, server.endpoint(**changes)), 3, folder, told
    )
    return found, told.sentences


def test_related_queries_are_kept_and_the_cost_is_said_first(index, server, tmp_path):
    server.answers = [writes]
    found, told = ask(index, server, tmp_path / "run")
    assert len(server.requests) == 14  # the copy and the short one are not sent
    assert told[0].startswith("14 calls to tiny at 127.0.0.1, ")
    assert told[0].endswith("at most 5600 tokens back; 0 answers are kept from before")
    queries = {example.row.query for example in found.examples}
    assert "kiln in which room" in queries
    assert any(query.endswith("可以使用吗") for query in queries)
    assert not queries & {"weather forecast tomorrow", "明天天气怎么样"}
    assert said(found.dropped)["query came twice"] == 12
    assert said(found.dropped)["no more similar to the model than random texts"] >= 2
    assert {example.origin for example in found.examples} == {"synthetic"}
    again, told = ask(index, server, tmp_path / "run")
    assert again == found
    assert told[0].startswith("0 calls to tiny at 127.0.0.1, 0 characters sent")
    assert told[0].endswith("14 answers are kept from before")
    assert len(server.requests) == 14


def test_the_draw_follows_the_seed_and_the_number(index, server, tmp_path):
    server.answers = [writes]
    ask(index, server, tmp_path / "a", count=3)
    assert len(server.requests) == 3
    ask(index, server, tmp_path / "b", count=3)
    sent = [request[2]["messages"][0]["content"] for request in server.requests]
    assert sorted(sent[:3]) == sorted(sent[3:])


def test_silence_is_an_error_unless_enough_was_written(index, server, tmp_path):
    server.answers = [*[writes] * 4, (500, {})]
    with pytest.raises(
        ModelError, match=r"4 of 14 passages were answered .*500.*resume with --run early, or leave --synthetic"
    ):
        ask(index, server, tmp_path / "early", retries=0)
    assert len([line for line in (tmp_path / "early" / ANSWERS).read_text().split("\n") if line]) == 4
    server.answers = [*[writes] * 4, (500, {})]
    found, told = ask(index, server, tmp_path / "early", retries=0)  # the same run: eight of fourteen now
    assert "the endpoint did not answer all; what it wrote for 8 of 14 passages is used" in told
    assert found.examples


def test_a_plan_has_it_as_a_source_without_where_the_endpoint_is(index, server, tmp_path):
    server.answers = [writes]
    sources = TuningSources(feedback=False, synthetic=SyntheticSource(50, server.endpoint()))
    plan = TuningPlan(tmp_path, sources=sources)
    told = Told()
    found = gather(index, WordEmbedder(), sources, 0, tmp_path / "run", told)
    assert f"{len(found.examples)} examples by a language model" in told.sentences
    assert said(found.left_out)["no more similar to the model than random texts"] > 0
    assert json.loads(json.dumps(plan.facts()))["sources"]["synthetic"] == {"passages": 50, "model": "tiny"}
    with pytest.raises(ValueError, match="0 passages are to be sent"):
        SyntheticSource(0, server.endpoint())


def test_the_people_who_ask_can_come_from_a_file(index, server, tmp_path):
    server.answers = [writes]
    file = tmp_path / "personas.jsonl"
    file.write_text("".join(json.dumps({"persona": f"keeper of lighthouse {n}"}) + "\n" for n in range(40)))
    source = SyntheticSource(50, server.endpoint(), file)
    found = examples_by_language_model(index, WordEmbedder(), source, 3, tmp_path / "run", Told())
    asked = [body["messages"][0]["content"] for _, _, body in server.requests]
    people = {re.search(r"(?:You are |你是)(keeper of lighthouse \d+)", one)[1] for one in asked}
    assert len(people) >= 6
    assert len(found.examples) >= 10
    again = examples_by_language_model(index, WordEmbedder(), source, 3, tmp_path / "run", Told())
    assert again == found
    assert len(server.requests) == len(asked)
    plain = SyntheticSource(50, server.endpoint())
    assert source.facts() != plain.facts() == {"passages": 50, "model": "tiny"}


def test_a_file_without_personas_is_refused_before_anything_is_sent(index, server, tmp_path):
    file = tmp_path / "personas.jsonl"
    file.write_text("{}\n")
    source = SyntheticSource(50, server.endpoint(), file)
    with pytest.raises(TrainingError, match="has no persona"):
        examples_by_language_model(index, WordEmbedder(), source, 3, tmp_path / "run", Told())
    assert not server.requests
