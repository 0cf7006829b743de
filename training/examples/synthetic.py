"""Queries that a language model writes for the user's own passages, through an endpoint that the user names. Off by default.

Each request takes the part of a person, drawn by seed, and asks what this person would type: personas make the queries differ
in level and wording (KaLM-Embedding, arXiv 2501.01028, after Persona Hub). Nothing of an answer is believed: it must be a JSON
list of texts in the passage's language that are questions of a sane length; all else is counted and left out.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from json import JSONDecodeError, loads
from typing import Any

from quarry.indexer.embedder import Progress
from quarry.indexer.errors import ModelError
from quarry.indexer.language import language_of, length_in_words
from quarry.indexer.lexical.detection import languages_in, may_be
from quarry.indexer.lexical.languages import LANGUAGES
from quarry.indexer.messages import Message
from quarry.retriever.llm.endpoint import Endpoint, Unanswered, ask
from quarry.training.examples import reasons
from quarry.training.examples.example import Example, text_key
from quarry.training.examples.kept_answers import KeptAnswers
from quarry.training.examples.rows import TrainingRow

_PASSAGE_CHARS = 4_000  # of a passage that are sent
_IN_A_ROW = 5  # passages without an answer, one after another, that end the run
UNANSWERED = (reasons.SILENT, reasons.REFUSED)  # the reasons for which a passage has no answer at all
PERSONAS_EN = (
    "a newcomer in the first week who does not know the terms yet",
    "an expert who is after one exact detail",
    "a support agent with a customer on the phone",
    "a manager who must decide and has two minutes",
    "a student who writes about the subject",
    "a person in a hurry who types keywords, not sentences",
)
PERSONAS_ZH = (
    "刚入职、还不熟悉术语的新人",
    "只想查清一个具体细节的专家",
    "正在接听客户电话的客服",
    "两分钟内要做决定的负责人",
    "正在写相关论文的学生",
    "赶时间、只输入关键词的人",
)
_PROMPT_EN = """You are {persona}. The passage below is from a document collection that you search.
Write {number} different queries that you would type into the search box and that this passage answers.
Do not copy whole sentences of the passage, and do not mention "the passage". Write {language}.
Answer with a JSON list of strings and nothing else.

<passage>
{passage}
</passage>"""
_PROMPT_ZH = """你是{persona}。下面的段落来自你要检索的文档库。
请写出{number}条你会在搜索框中输入、并且能由这段文字回答的不同查询。
不要照抄整句，不要提到“这段文字”。请用中文。
只回答一个由字符串组成的 JSON 列表，不要有别的内容。

<passage>
{passage}
</passage>"""


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """How many queries, and whose.

    Attributes:
        per_passage: Queries asked for per passage.
        words: Fewest and most words of a query; a Chinese character is a word.
        seed: For the draw of personas.
        parallel: Requests at a time.
        weight: Weight of the examples, in (0, 1].
        personas: Who asks; empty for the six of the passage's language.
    """

    per_passage: int = 2
    words: tuple[int, int] = (2, 64)
    seed: int = 0
    parallel: int = 4
    weight: float = 0.5
    personas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Synthetic:
    """What the model wrote.

    Attributes:
        examples: One per query.
        asked: Passages sent.
        dropped: Passages and queries that gave nothing, by reason.
        stopped: Why not all passages were sent; empty when they were.
    """

    examples: tuple[Example, ...]
    asked: int
    dropped: reasons.Counts
    stopped: str = ""


def synthetic_examples(
    passages: Sequence[tuple[str, str]],
    endpoint: Endpoint,
    spec: SyntheticSpec = SyntheticSpec(),
    *,
    progress: Progress | None = None,
    kept: KeptAnswers | None = None,
) -> Synthetic:
    """Have queries written for passages. One that is refused when others were answered is left out (a content filter, say).

    Args:
        passages: (passage id, text).
        endpoint: Where to ask.
        spec: How many, and whose.
        progress: Receives the number of passages finished.
        kept: Answers of an earlier call, which are not asked for again; new ones are added.

    Raises:
        ModelError: If the endpoint refuses the first requests, or answered none of them.
    """
    examples: dict[str, Example] = {}
    dropped: Counter[Message] = Counter()
    asked, silent, stopped, heard = 0, 0, "", False
    with ThreadPoolExecutor(max(1, spec.parallel)) as pool:
        for first in range(0, len(passages), max(1, spec.parallel)):
            block = passages[first : first + max(1, spec.parallel)]
            answers = list(pool.map(lambda passage: _answer(passage, endpoint, spec, kept), block))
            heard = heard or any(isinstance(answer, str) for answer in answers)
            for (name, text), answer in zip(block, answers, strict=True):
                if isinstance(answer, ModelError) and not heard:
                    raise answer
                asked += 1
                silent = 0 if isinstance(answer, str) else silent + 1
                stopped = stopped if isinstance(answer, str) else str(answer)
                for query in _queries(answer, text, spec, dropped):
                    row = TrainingRow(query, (text,))
                    made = Example.of(
                        row, origin="synthetic", positive_ids=[name], weight=spec.weight, source=f"query for {name}"
                    )
                    dropped[reasons.TWICE] += made.key in examples
                    examples.setdefault(made.key, made)
            if kept is not None:
                said = zip(block, answers, strict=True)
                kept.put(endpoint.model, [(prompt_for(one, spec), text) for one, text in said if isinstance(text, str)])
            if progress is not None:
                progress(len(block))
            if silent >= _IN_A_ROW or (silent == asked and asked == len(passages)):
                break
    if asked and silent == asked:
        raise ModelError(
            "examples.no_answer",
            "no passage got an answer ({why})",
            expected="a running endpoint",
            do="Start it, or check its URL",
            why=stopped,
        )
    return Synthetic(tuple(examples.values()), asked, dict(+dropped), stopped if asked < len(passages) else "")


def _answer(
    passage: tuple[str, str], endpoint: Endpoint, spec: SyntheticSpec, kept: KeptAnswers | None
) -> str | Unanswered | ModelError:
    prompt = prompt_for(passage, spec)
    known = kept.get(endpoint.model, prompt) if kept is not None else None
    if known is not None:
        return known
    try:
        return ask(endpoint, prompt)
    except (Unanswered, ModelError) as err:
        return err


def prompt_for(passage: tuple[str, str], spec: SyntheticSpec = SyntheticSpec()) -> str:
    """Return the prompt for a passage (id, text), with a persona drawn by its id and the seed.

    It is in Chinese for a Chinese passage, else in English and names the language of the passage.
    """
    name, text = passage
    chinese = language_of(text) in ("zh", "mixed")
    personas = spec.personas or (PERSONAS_ZH if chinese else PERSONAS_EN)
    draw = int.from_bytes(sha256(f"{spec.seed}\0{name}".encode("utf-8", "replace")).digest()[:8])
    form = _PROMPT_ZH if chinese else _PROMPT_EN
    cut = text[:_PASSAGE_CHARS].replace("</passage>", "")
    asked = LANGUAGES[_language(text)].english_name
    return form.format(persona=personas[draw % len(personas)], number=spec.per_passage, passage=cut, language=asked)


def _language(text: str) -> str:
    """Return the language of a passage as two letters; English where nothing tells another."""
    return next(iter(languages_in([text])), "en")


def _queries(
    answer: str | Unanswered | ModelError, text: str, spec: SyntheticSpec, dropped: Counter[Message]
) -> list[str]:
    """Return the queries of an answer that can be used."""
    if not isinstance(answer, str):
        dropped[reasons.SILENT if isinstance(answer, Unanswered) else reasons.REFUSED] += 1
        return []
    found = _list_in(answer)
    if found is None:
        dropped[reasons.NO_LIST] += 1
        return []
    kept = []
    for entry in found[: spec.per_passage]:
        reason = _fault(entry, text, spec)
        if reason is None:
            kept.append(" ".join(entry.split()))
        else:
            dropped[reason] += 1
    return kept


def _list_in(answer: str) -> list[str] | None:
    """Return the JSON list in an answer that may have other text, such as a code fence, around it."""
    first, last = answer.find("["), answer.rfind("]")
    try:
        found: Any = loads(answer[first : last + 1]) if 0 <= first < last else None
    except (JSONDecodeError, RecursionError):
        return None
    return found if isinstance(found, list) and all(isinstance(entry, str) for entry in found) else None


def _fault(query: str, text: str, spec: SyntheticSpec) -> Message | None:
    fewest, most = spec.words
    if not fewest <= length_in_words(query) <= most:
        return reasons.QUERY_LENGTH
    if (language_of(query) in ("zh", "mixed")) != (language_of(text) in ("zh", "mixed")):
        return reasons.OTHER_LANGUAGE
    if (own := _language(text)) not in ("zh", "en") and not may_be(query, own):
        return reasons.OTHER_LANGUAGE
    if len(query) >= 12 and text_key(query).rstrip("?？。.") in text_key(text):
        return reasons.COPIED
    return None
