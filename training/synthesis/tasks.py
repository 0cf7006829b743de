"""The six kinds of tasks and what the language model is asked for each: in Chinese for Chinese texts, else in English, naming the language.

The kinds are those of Wang et al. (arXiv 2401.00368), which KaLM follows: four of retrieval, short and long on either side (long-short is
classification: a text finds its label), for which an instruction is written first; and similar and translated sentences, which have a
fixed one.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from quarry.indexer.lexical.languages import LANGUAGES

TaskKind: TypeAlias = Literal["short-long", "long-short", "short-short", "long-long", "sts", "bitext"]
KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
RETRIEVAL: tuple[TaskKind, ...] = KINDS[:4]
ROW_TYPE: Mapping[TaskKind, str] = {
    "short-long": "normal",
    "long-short": "classification",
    "short-short": "normal",
    "long-long": "normal",
    "sts": "symmetric_sts",
    "bitext": "symmetric_sts",
}
_FIXED: Mapping[TaskKind, tuple[str, str]] = {
    "sts": ("Retrieve semantically similar text.", "检索语义相似的文本。"),
    "bitext": ("Retrieve the translation of the sentence.", "检索该句的译文。"),
}
_WHAT_EN: Mapping[TaskKind, str] = {
    "short-long": "a short query (a question, keywords or a claim) finds a longer document that answers it",
    "long-short": "a long text is sorted into one of several categories: the text finds the name of its category",
    "short-short": "a short text finds another short text that belongs to it, such as a title its subtitle or a product its name",
    "long-long": "a long document finds another long document that belongs to it, such as a case a similar case",
}
_WHAT_ZH: Mapping[TaskKind, str] = {
    "short-long": "用简短的查询（问题、关键词或论断）找到能回答它的较长文档",
    "long-short": "把一段长文本归入若干类别之一：由文本找到其类别名称",
    "short-short": "由一段短文本找到与之对应的另一段短文本，例如由标题找副标题、由描述找商品名",
    "long-long": "由一篇长文档找到与之对应的另一篇长文档，例如由案例找相似案例",
}
_FIRST_EN = """Think of {number} different tasks for a text embedding model, from your own life and work, in which {what}.
Write each as one English sentence that tells the model what to retrieve, beginning with "Given" or a verb.
Answer with a JSON list of {number} strings and nothing else."""
_FIRST_ZH = """请从你自己的生活和工作出发，想出{number}个不同的文本检索任务，任务形式是：{what}。
每个任务用一句中文写明要检索什么，以“给定”或动词开头。
只回答一个由{number}个字符串组成的 JSON 列表，不要有别的内容。"""
_SECOND_EN = """You write one training example for this task: {instruction}
Answer with one JSON object with three texts{language} and nothing else:
- "query": {query}
- "positive": {positive}
- "hard_negative": {negative}
The texts are about a {topic} matter and need {level} knowledge. The query and the positive share few words.
Do not mention the task. [{draw}]"""
_SECOND_ZH = """请为下面的任务写一个训练样本：{instruction}
只回答一个 JSON 对象，含三段中文文本，不要有别的内容：
- "query"：{query}
- "positive"：{positive}
- "hard_negative"：{negative}
内容涉及{topic}话题，需要{level}知识。query 与 positive 用词尽量不同，不要提到任务本身。[{draw}]"""
_PARTS_EN: Mapping[TaskKind, tuple[str, str, str]] = {
    "short-long": (
        "what somebody types, {short} words",
        "a document of at least {long} words that answers it",
        "a document of at least {long} words that looks like an answer but is none",
    ),
    "long-short": (
        "a text of at least {long} words",
        "the name of its category",
        "the name of another category that the text could be mistaken for",
    ),
    "short-short": (
        "a short text, {short} words",
        "the short text that belongs to it",
        "one that seems to belong to it but does not",
    ),
    "long-long": (
        "a document of at least {long} words",
        "another document of at least {long} words that belongs to it",
        "a document of at least {long} words on the same subject that does not",
    ),
    "sts": (
        "a sentence",
        "a sentence with the same meaning in other words",
        "a sentence with similar words and another meaning",
    ),
    "bitext": (
        "a sentence in {own}",
        "its translation into {other}",
        "a sentence in {other} with similar words that is no translation of it",
    ),
}
_PARTS_ZH: Mapping[TaskKind, tuple[str, str, str]] = {
    "short-long": (
        "某人输入的查询，约{short}字",
        "能回答它的文档，不少于{long}字",
        "看似能回答、其实不能的文档，不少于{long}字",
    ),
    "long-short": ("一段不少于{long}字的文本", "它所属类别的名称", "容易与之混淆的另一个类别的名称"),
    "short-short": ("一段短文本，约{short}字", "与之对应的短文本", "看似对应、其实不对应的短文本"),
    "long-long": (
        "一篇不少于{long}字的文档",
        "与之对应的另一篇文档，不少于{long}字",
        "主题相同但并不对应的文档，不少于{long}字",
    ),
    "sts": ("一个句子", "意思相同、说法不同的句子", "用词相近、意思不同的句子"),
    "bitext": ("一个中文句子", "它的英文译文", "用词相近、但不是其译文的英文句子"),
}
_TOPICS = (("common", "常见"), ("specialized", "专业"), ("rare", "冷门"))
_LEVELS = (("everyday", "日常"), ("college", "大学"), ("expert", "专家级"))


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a system message, which may be empty, and a message of the user."""

    user: str
    system: str = ""

    def key(self) -> str:
        """Return what an answer is kept under."""
        return f"{self.system}\0{self.user}"


def translated_to(language: str) -> str:
    """Return the other language of `bitext`: English, of English Chinese."""
    return "zh" if language == "en" else "en"


def instruction_request(kind: TaskKind, persona: str, number: int, *, language: str) -> Request:
    """Return the request of the first phase: instructions for a kind of retrieval, in the name of a persona.

    They are in Chinese for Chinese texts, else in English, as the instructions of the multilingual models are.
    """
    if language == "zh":
        return Request(_FIRST_ZH.format(number=number, what=_WHAT_ZH[kind]), f"你是{persona}。")
    return Request(_FIRST_EN.format(number=number, what=_WHAT_EN[kind]), f"You are {persona}.")


def fixed_instruction(kind: TaskKind, *, language: str) -> str:
    """Return the instruction of a kind that has a fixed one; empty for retrieval."""
    return _FIXED[kind][language == "zh"] if kind in _FIXED else ""


def row_request(kind: TaskKind, instruction: str, number: int, seed: int, *, language: str) -> Request:
    """Return the request of the second phase; length, subject and level are drawn by the number of the row."""
    draw, chinese = random.Random(f"{seed} {number}"), language == "zh"
    own, other = (LANGUAGES[code].english_name for code in (language, translated_to(language)))
    sizes = {"short": draw.choice((5, 10, 20)), "long": draw.choice((50, 100, 200)), "own": own, "other": other}
    query, positive, negative = (part.format(**sizes) for part in (_PARTS_ZH if chinese else _PARTS_EN)[kind])
    form = _SECOND_ZH if chinese else _SECOND_EN
    text = form.format(
        instruction=instruction,
        query=query,
        positive=positive,
        negative=negative,
        topic=draw.choice(_TOPICS)[chinese],
        level=draw.choice(_LEVELS)[chinese],
        draw=number,
        language="" if kind == "bitext" else f" in {own}",
    )
    return Request(text.replace("含三段中文文本", "含三段文本") if kind == "bitext" else text)
