"""Rows by a language model: what a recording endpoint hears in each phase, what of its answers is used, and resuming."""

import json
import re
from collections import Counter

import pytest

from quarry.indexer.errors import TrainingError
from quarry.indexer.lexical.languages import LANGUAGES
from quarry.retriever.llm.endpoint import KEY_VARIABLE
from quarry.training.examples.row_files import RowFiles
from quarry.training.synthesis.personas import draw_personas
from quarry.training.synthesis.run import kept_beside, synthesize
from quarry.training.synthesis.spec import SynthesisSpec
from quarry.training.synthesis.tasks import KINDS
from tests.training.examples.test_synthetic import Server, chat
from tests.training.reasons import said

EN, ZH = ["alpha", "bravo", "castle", "delta", "engine", "forest"], "山河湖海风雨云雪"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    running = Server()
    running.answers = [well]
    yield running
    running.http.shutdown()
    running.http.server_close()


def heard(server):
    return [{one["role"]: one["content"] for one in body["messages"]} for _, _, body in server.requests]


def words(seed, count, chinese):
    if chinese:
        return "".join(chr(0x4E00 + (seed * 7919 + place * 104729) % 4000) for place in range(count))
    return " ".join(
        f"{EN[(seed + place) % 6]}{chr(97 + (seed * 31 + place * 17) % 26)}{chr(97 + place % 26)}o"
        for place in range(count)
    )


def well(body):
    """A model that does what it is asked for."""
    messages = {one["role"]: one["content"] for one in json.loads(body)["messages"]}
    user, chinese = messages["user"], "JSON 列表" in messages["user"] or "JSON 对象" in messages["user"]
    if "hard_negative" not in user:
        seed = sum(user.encode()) + sum(messages["system"].encode())
        start = "给定一个问题，检索" if chinese else "Given a question, retrieve "
        return chat(json.dumps([start + words(seed + 13 * n, 8, chinese) for n in range(5)], ensure_ascii=False))
    seed = int(re.search(r"\[(\d+)\]", user)[1])
    other = chinese != ("译文" in user or "translation" in user)
    texts = [words(seed, 30, chinese), words(seed + 500, 30, other), words(seed + 900, 30, other)]
    row = dict(zip(("query", "positive", "hard_negative"), texts, strict=True))
    return chat("```json\n" + json.dumps(row, ensure_ascii=False) + "\n```")


def persona_file(path, count):
    path.write_text(
        "".join(json.dumps({"persona": f"a keeper of lighthouse number {n}"}) + "\n" for n in range(count)),
        encoding="utf-8",
    )
    return path


def test_personas_are_heard_in_the_system_message_of_the_first_phase_only(server, tmp_path):
    spec = SynthesisSpec(120, personas=persona_file(tmp_path / "p.jsonl", 50))
    report = synthesize(tmp_path / "rows.jsonl", server.endpoint(), spec)
    first = [one for one in heard(server) if "system" in one]
    second = [one for one in heard(server) if "system" not in one]
    assert (
        len(first) == report.asked - len(second) == 16
    )  # 20 rows of each kind, in two languages, five instructions a request
    personas = [re.search(r"a keeper of lighthouse number \d+", one["system"])[0] for one in first]
    assert max(Counter(personas).values()) == 1
    assert all("lighthouse" not in one["user"] for one in heard(server))
    assert all(
        "hard_negative" in one["user"] and "hard_negative" not in other["user"]
        for one, other in zip(second, first, strict=False)
    )


def test_the_second_phase_holds_the_instructions_of_the_first_and_rows_carry_them(server, tmp_path):
    report = synthesize(tmp_path / "rows.jsonl", server.endpoint(), SynthesisSpec(120))
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert report.rows == dict.fromkeys(KINDS, 20)
    assert all(row["prompt"] and len(row["pos"]) == len(row["neg"]) == 1 for row in rows)
    asked = [one["user"] for one in heard(server) if "system" not in one]
    assert all(sum(row["prompt"] in one for one in asked) for row in rows)
    assert (
        len({row["prompt"] for row in rows if row["type"] in ("normal", "classification")}) >= 60
    )  # the stand-in repeats itself
    read = RowFiles.open([tmp_path / "rows.jsonl"], strict=True)
    assert {row.kind for row in read} == {"normal", "classification", "symmetric_sts"}
    assert {row.prompt for row in read} == {row["prompt"] for row in rows}


def test_built_in_personas_are_those_of_the_language(server, tmp_path):
    synthesize(tmp_path / "rows.jsonl", server.endpoint(), SynthesisSpec(240))
    systems = [one["system"] for one in heard(server) if "system" in one]
    assert len(set(systems)) == 12
    for one in heard(server):
        if "system" in one:
            assert one["system"].startswith("你是") == ("JSON 列表" in one["user"])


TOLD = {  # query, positive and hard negative of similar sentences; the last two are those of a translation
    "de": ("Die Bücher stehen auf dem Regal", "Auf dem Regal sind die Bücher zu finden", "Das Regal ist leer und die Tür zu"),
    "ja": ("本は棚の上にあります", "棚には書籍が並んでいます", "棚は空になりました"),
    "ko": ("책은 선반 위에 있다", "선반에 책이 놓여 있다", "선반은 비어 있다"),
    "th": ("หนังสือ อยู่ บนชั้น", "บนชั้น มีหนังสือวางอยู่", "ชั้นวาง ว่างเปล่าแล้ว"),
    "ru": ("Книги стоят на полке", "На полке находятся книги", "Полка теперь совсем пустая"),
    "ar": ("الكتب على الرف", "يوجد على الرف كتب", "الرف فارغ الآن تماما"),
    "fr": ("Les livres sont sur l'étagère", "Sur cette étagère se trouvent des livres", "L'étagère est vide et la porte fermée"),
}  # fmt: skip  # a table


def _row(texts):
    return chat(json.dumps(dict(zip(("query", "positive", "hard_negative"), texts, strict=True)), ensure_ascii=False))


@pytest.mark.parametrize("code", TOLD)
def test_rows_of_another_language_are_asked_for_by_its_name_and_checked(code, server, tmp_path):
    server.answers = [_row(TOLD[code])]
    name = LANGUAGES[code].english_name
    report = synthesize(tmp_path / "a.jsonl", server.endpoint(), SynthesisSpec(1, kinds=("sts",), languages=(code,)))
    assert report.rows == {"sts": 1}
    assert f"three texts in {name} and nothing else" in heard(server)[-1]["user"]
    server.answers = [_row(TOLD["ru" if code != "ru" else "de"])]
    with pytest.raises(TrainingError, match="in another language than was asked for"):
        synthesize(tmp_path / "b.jsonl", server.endpoint(), SynthesisSpec(1, kinds=("sts",), languages=(code,)))


def test_translations_of_another_language_are_into_english(server, tmp_path):
    server.answers = [_row((TOLD["de"][0], "The books are on the shelf", "The shelf stands behind the door"))]
    spec = SynthesisSpec(1, kinds=("bitext",), languages=("de",))
    assert synthesize(tmp_path / "a.jsonl", server.endpoint(), spec).rows == {"bitext": 1}
    asked = heard(server)[-1]["user"]
    assert "a sentence in German" in asked
    assert "its translation into English" in asked


def test_instructions_for_another_language_are_english_and_so_are_its_personas(server, tmp_path):
    server.answers = [lambda body: well(body) if b'"system"' in body else _row(("Wer hat die Bücher der Stadt?",) * 3)]
    spec = SynthesisSpec(2, kinds=("short-short",), languages=("de",))
    assert spec.without_personas == ("de",)
    assert SynthesisSpec(2).without_personas == ()
    with pytest.raises(TrainingError, match="no row came of 2 requests"):
        synthesize(tmp_path / "a.jsonl", server.endpoint(), spec)
    first = next(one for one in heard(server) if "system" in one)
    assert first["system"].startswith("You are ")
    assert "English sentence" in first["user"]
    with pytest.raises(ValueError, match="unknown languages \\['xx'\\]; expected some of ar, bg"):
        SynthesisSpec(2, languages=("xx",))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I cannot do that.", "answers that are no JSON object with query, positive and hard_negative"),
        ("", "answers that are no JSON object with query, positive and hard_negative"),
        ('{"query": "a b"}', "answers that are no JSON object with query, positive and hard_negative"),
        (
            '{"query": ["a"], "positive": "b", "hard_negative": "c"}',
            "answers that are no JSON object with query, positive and hard_negative",
        ),
        ('{"query": " ", "positive": "b c", "hard_negative": "c d"}', "rows with an empty text"),
        (
            '{"query": "x", "positive": "the meaning stays", "hard_negative": "another thing"}',
            "instructions or rows with a text that is too short or too long",
        ),
        (
            '{"query": "Retrieve semantically similar text", "positive": "the meaning stays", "hard_negative": "another thing"}',
            "rows that copy their instruction, or the query in the passage",
        ),
        (
            '{"query": "books are on the shelf", "positive": "As said, books are on the shelf.", "hard_negative": "another thing"}',
            "rows that copy their instruction, or the query in the passage",
        ),
        (
            '{"query": "书在架子上", "positive": "书架上有书", "hard_negative": "书不在"}',
            "instructions or rows in another language than was asked for",
        ),
        (
            '{"query": "books are on the shelf", "positive": "the shelf has books", "hard_negative": "The shelf has books!"}',
            "rows whose negative is the positive or the query",
        ),
    ],
)
def test_rubbish_gives_no_row_and_no_file_and_its_reason_is_said(server, tmp_path, answer, reason):
    server.answers = [chat(answer)]
    spec = SynthesisSpec(3, kinds=("sts",), languages=("en",), parallel=1)
    with pytest.raises(TrainingError, match=f"no row came of 3 requests .*3 {re.escape(reason)}"):
        synthesize(tmp_path / "rows.jsonl", server.endpoint(), spec)
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("no list", "answers that are no JSON list of instructions"),
        ("[1, 2]", "answers that are no JSON list of instructions"),
        ('["short"]', "instructions or rows with a text that is too short or too long"),
        ('["给定一个问题，检索能回答它的文档"]', "instructions or rows in another language than was asked for"),
    ],
)
def test_rubbish_in_the_first_phase_ends_its_kind(server, tmp_path, answer, reason):
    server.answers = [lambda body: chat(answer) if b'"system"' in body else well(body)]
    report = synthesize(
        tmp_path / "rows.jsonl", server.endpoint(), SynthesisSpec(4, kinds=("short-long", "sts"), languages=("en",))
    )
    assert report.rows == {"short-long": 0, "sts": 2}
    assert said(report.dropped) == {reason: 1, "rows of a kind for which no instruction was written": 2}


def test_a_run_that_the_endpoint_ended_goes_on_without_asking_again(server, tmp_path):
    whole = synthesize(tmp_path / "whole.jsonl", server.endpoint(), SynthesisSpec(48))
    count = len(server.requests)
    sent = 0

    def tiring(body):
        nonlocal sent
        sent += 1
        return well(body) if sent <= 20 else (500, {})

    server.answers = [tiring]
    with pytest.raises(TrainingError, match="the endpoint fell silent .*500.*what was answered is kept"):
        synthesize(tmp_path / "rows.jsonl", server.endpoint(retries=0), SynthesisSpec(48))
    assert not (tmp_path / "rows.jsonl").exists()
    with kept_beside(tmp_path / "rows.jsonl").open("ab") as handle:
        handle.write(b'{"prompt": "torn')
    server.answers, server.requests = [well], []
    again = synthesize(tmp_path / "rows.jsonl", server.endpoint(), SynthesisSpec(48))
    assert len(server.requests) == count - 20
    assert (again.digest, again.rows) == (whole.digest, whole.rows)
    assert synthesize(tmp_path / "rows.jsonl", server.endpoint(), SynthesisSpec(48)).asked == 0


def test_personas_are_drawn_uniformly_from_a_file_of_any_size(tmp_path):
    file = persona_file(tmp_path / "p.jsonl", 1000)
    with file.open("a", encoding="utf-8") as handle:
        handle.write('not a persona}\n{"persona": 7}\n{broken\n"一位灯塔看守人"\n')
    hits = Counter(
        int(re.findall(r"\d+", name)[0]) // 250
        for seed in range(40)
        for name in draw_personas(file, 25, seed).names
        if "light" in name
    )
    assert sum(hits.values()) > 950
    assert all(200 <= hits[quarter] <= 300 for quarter in range(4))
    drawn = draw_personas(file, 5000)
    assert (drawn.read, drawn.bad, len(set(drawn.names))) == (1002, 2, 1002)
    (tmp_path / "empty.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="has no persona; expected JSON lines"):
        draw_personas(tmp_path / "empty.jsonl", 5)
    with pytest.raises(TrainingError, match="cannot be read"):
        draw_personas(tmp_path / "missing.jsonl", 5)


def test_other_files_and_other_kinds_are_refused_before_anything_is_sent(server, tmp_path):
    (tmp_path / "notes.md").write_text("notes", encoding="utf-8")
    with pytest.raises(TrainingError, match="exists and is no file of training rows"):
        synthesize(tmp_path / "notes.md", server.endpoint(), SynthesisSpec(6))
    with pytest.raises(ValueError, match="expected at least one of each"):
        SynthesisSpec(6, kinds=("poems",))
    assert server.requests == []


def test_rows_are_written_as_they_come_and_not_held(server, tmp_path):
    """Another thousand rows of the same texts take no more memory than the first, and the observer knows how many there will be."""
    import tracemalloc

    totals, peaks = {}, []
    for count in (300, 1200):
        spec = SynthesisSpec(count, kinds=("sts",), parallel=8)
        into = tmp_path / f"{count}.jsonl"
        synthesize(into, server.endpoint(), spec)  # answers are kept: the second time nothing is asked
        server.requests.clear()
        tracemalloc.start()
        report = synthesize(
            into, server.endpoint(), spec, observer=lambda name, total: totals.update({name: total}) or (lambda _: None)
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.asked == 0
        assert totals["rows"] == count
    assert peaks[1] < peaks[0] + 900 * 500
