"""The exact texts that a model receives in each task, as its authors evaluated it."""

import re

import pytest

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.models.profiles import EMBEDDERS, embedder_profile
from quarry.retriever.benchmark.mteb_model import Asking, MtebEncoder
from quarry.retriever.benchmark.task_prompts import families, prompts_of, read_prompts, read_task_shots
from tests.fakes import WordEmbedder

mteb = pytest.importorskip("mteb")
KALM = "HIT-TMG/KaLM-embedding-multilingual-mini-instruct-v1"
ICL, GEMMA, E5 = "BAAI/bge-en-icl", "BAAI/bge-multilingual-gemma2", "intfloat/multilingual-e5-large-instruct"


class Recording(WordEmbedder):
    """Remembers the inputs as a model would see them."""

    def __init__(self, model, query_format=None, seen=None):
        super().__init__()
        profile = embedder_profile(model)
        query_format = query_format or (profile.query_format if profile else "{query}")
        self.spec = EmbedderSpec(model, "1", 64, 512, "mean", query_format=query_format)
        self.seen = [] if seen is None else seen

    def asking(self, query_format):
        return Recording(self.spec.model, query_format, self.seen)

    def embed_queries(self, texts):
        self.seen += [self.spec.query_format.replace("{query}", text) for text in texts]
        return super().embed_queries(texts)

    def embed_documents(self, texts, *, progress=None):
        self.seen += texts
        return super().embed_documents(texts)


class Plain(WordEmbedder):
    """Has nothing but the protocol's two methods, and no format of its own."""

    def __init__(self, model):
        super().__init__()
        self.spec = EmbedderSpec(model, "1", 64, 512, "mean")
        self.seen = []

    def embed_queries(self, texts):
        self.seen += texts
        return super().embed_queries(texts)

    def embed_documents(self, texts, *, progress=None):
        self.seen += texts
        return super().embed_documents(texts)


def received(model, task, side=None, asking=None):
    encoder = MtebEncoder(model, asking=asking)
    metadata = mteb.get_task(task).metadata
    encoder.encode([{"text": ["x"]}], task_metadata=metadata, hf_split="test", hf_subset="default", prompt_type=side)
    return model.seen[-1]


CASES = [
    (KALM, "TNews", None, "Instruct: Categorizing the given news title \n Query: x"),
    (KALM, "EightTagsClustering", None, "Instruct: Identify of headlines from social media posts in Polish into 8 categories: "
     "film, history, food, medicine, motorization, work, sport and technology \n Query: x"),
    (KALM, "T2Retrieval", "query", "Instruct: Given a query, retrieve documents that answer the query. \n Query: x"),
    (KALM, "T2Retrieval", "document", "x"),
    (KALM, "CMedQAv1-reranking", "query", "Instruct: Given a query, retrieve documents that answer the query. \n Query: x"),
    (KALM, "STSBenchmark", None, "x"),
    (KALM, "Ocnli", None, "x"),
    (KALM, "SummEval", None, "x"),
    (ICL, "Banking77Classification", None,
     "<instruct>Given an online banking query, find the corresponding intents.\n<query>x\n<response>"),
    (ICL, "NQ", "query", "<instruct>Given a question, retrieve Wikipedia passages that answer the question.\n<query>x\n<response>"),
    (ICL, "NQ", "document", "x"),
    (ICL, "STS12", None, "<instruct>Retrieve semantically similar text.\n<query>x\n<response>"),
    (ICL, "SummEval", None, "<instruct>Given a news summary, retrieve other semantically similar summaries.\n<query>x\n<response>"),
    (ICL, "CQADupstackGisRetrieval", "query", "<instruct>Given a question, retrieve detailed question descriptions from "
     "Stackexchange that are duplicates to the given question.\n<query>x\n<response>"),
    (GEMMA, "CMedQAv1-reranking", "query",
     "<instruct>Given a Chinese community medical question, retrieve replies that best answer the question.\n<query>x"),
    (GEMMA, "TNews", None, "<instruct>Classify the fine-grained category of the given news title.\n<query>x"),
    (GEMMA, "MIRACLRetrieval", "query",
     "<instruct>Given a question, retrieve Wikipedia passages that answer the question.\n<query>x"),
    (E5, "TNews", None, "Instruct: Classify the fine-grained category of the given news title\nQuery: x"),
    (E5, "TwitterURLCorpus", None, "Instruct: Retrieve tweets that are semantically similar to the given tweet\nQuery: x"),
    (E5, "T2Retrieval", "query",
     "Instruct: Given a Chinese search query, retrieve web passages that answer the question\nQuery: x"),
    (E5, "BUCC", None, "Instruct: Retrieve parallel sentences.\nQuery: x"),
    ("BAAI/bge-large-zh-v1.5", "TNews", None, "x"),
    ("BAAI/bge-large-zh-v1.5", "T2Retrieval", "query", "为这个句子生成表示以用于检索相关文章：x"),
]  # fmt: skip  # a table


@pytest.mark.parametrize(
    ("embedder", "model", "task", "side", "text"),
    # a model without instructions for tasks needs its own format
    [
        (embedder, *case)
        for embedder in (Recording, Plain)
        for case in CASES
        if embedder is Recording or prompts_of(case[0])
    ],
)
def test_a_model_receives_exactly_what_its_paper_says(embedder, model, task, side, text):
    assert received(embedder(model), task, side) == text


def test_every_instruction_of_the_papers_reaches_the_model():
    (kalm,) = [family for family in families() if family.name == "kalm"]
    assert len(kalm.tasks) == 59
    for family in families():
        for task, instruction in family.tasks.items():
            for model in family.models:
                spec = Recording(model).spec
                asked = family.query_format(spec, task, "Classification")
                assert instruction in asked
                assert asked.count("{query}") == 1


def test_the_families_name_known_models_and_mtebs_tasks():
    known = {task.metadata.name for task in mteb.get_tasks(exclude_superseded=False)}
    profiles = {profile.model for profile in EMBEDDERS}
    for family in families():
        assert set(family.tasks) <= known, set(family.tasks) - known
        assert set(family.models) - {"intfloat/e5-mistral-7b-instruct"} <= profiles


def test_a_tuned_model_is_asked_as_the_one_that_it_was_tuned_from():
    assert prompts_of(f"{KALM}+tuned-0123").name == "kalm"
    assert prompts_of("BAAI/bge-m3") is None


def test_newer_versions_of_a_task_have_the_instruction_of_the_first():
    assert prompts_of(E5).instruction("TwentyNewsgroupsClustering.v2", "Clustering").startswith("Identify the topic")


EXAMPLES = '{"query": "q1", "response": "r1"}\n{"query": "q2", "response": "r2"}\n'
SHOWN = ("<instruct>Retrieve semantically similar text.\n<query>q1\n<response>r1\n\n"
         "<instruct>Retrieve semantically similar text.\n<query>q2\n<response>r2\n\n"
         "<instruct>Retrieve semantically similar text.\n<query>x\n<response>")  # fmt: skip  # a text


@pytest.mark.parametrize(("name", "content"), [
    ("STS12.jsonl", EXAMPLES), ("STS12.csv", 'sent1,sent2\n"q1","r1"\nq2,r2\n'),
    ("STS12.json", '[{"instruct": "Other.", "query": "q1", "response": "r1"}, {"query": "q2", "response": "r2"}]'),
])  # fmt: skip  # a table
def test_each_task_has_its_own_examples(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    asking = Asking(prompts_of(ICL), tmp_path)
    assert received(Recording(ICL), "STS12", asking=asking) == SHOWN
    assert "q1" not in received(Recording(ICL), "STS13", asking=asking)


def test_one_file_of_examples_serves_every_task(tmp_path):
    (tmp_path / "all.jsonl").write_text(EXAMPLES)
    asking = Asking(prompts_of(ICL), tmp_path / "all.jsonl")
    assert received(Recording(ICL), "STS12", asking=asking) == SHOWN
    assert received(Recording(ICL), "NQ", "query", asking=asking).count("<response>") == 3
    assert received(Recording(ICL), "NQ", "document", asking=asking) == "x"


def test_examples_for_a_model_that_takes_none_are_refused(tmp_path):
    (tmp_path / "all.jsonl").write_text(EXAMPLES)
    with pytest.raises(ModelError, match="takes no examples"):
        received(Recording(KALM), "STS12", asking=Asking(prompts_of(KALM), tmp_path / "all.jsonl"))


def test_own_instructions_are_read_and_faults_are_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('format = "T: {instruction} Q: {query}"\n[tasks]\nTNews = "Sort it"\n')
    asked = Asking(read_prompts(path))
    assert received(Plain("own/model"), "TNews", asking=asked) == "T: Sort it Q: x"
    assert received(Plain("own/model"), "STS12", asking=asked) == "x"
    for content, reason in (("[tasks]\nTNews = 3\n", "tasks is not a table of texts"), ('format = "x"', "needs {instruction}"),
                            ("[tasks", "cannot be used")):  # fmt: skip  # a table
        path.write_text(content)
        with pytest.raises(SettingsError, match=re.escape(reason)):
            read_prompts(path)
    (tmp_path / "STS12.csv").write_text("a,b\nq1\n")
    with pytest.raises(SettingsError, match="line 2 has fewer than two columns"):
        read_task_shots(tmp_path, "STS12")
