"""The library's messages in the languages of the interface.

    words(message, "zh")     quarry.indexer.messages.Message -> a sentence

English is written where a message is made; Chinese is in this folder, one TOML file per package, by code:

    ["model.no_folder"]
    found = "{folder} 不是文件夹"
    expected = "模型文件夹"
    do = "请运行 `quarry models`"

A test holds that every code of the source is here with the same parts and the same names in braces.
"""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Literal, TypeAlias

from quarry.indexer.messages import PARTS, PLAIN, Message, english, filled

Language: TypeAlias = Literal["en", "zh"]
CHINESE_FILES = ("indexer.zh.toml", "retriever.zh.toml", "training.zh.toml", "app.zh.toml")


def words(message: Message, language: Language) -> str:
    """Return a message as a sentence: `found; expected ... . Do` or `found；应为……。Do`."""
    return english(message) if language == "en" else _chinese(message)


def part(message: Message, name: str, language: Language) -> str:
    """Return one part of a message, `found`, `expected` or `do`, empty when it has none."""
    template = getattr(message, name)
    if language == "en" or not template:
        return message.part(name)
    return filled(chinese().get(message.code, {}).get(name, template), message.params, _chinese, "、")


def _chinese(message: Message) -> str:
    if message.code == PLAIN:
        return english(message)
    found, expected, do = (part(message, name, "zh") for name in PARTS)
    head = f"{found}；应为{expected}" if expected else found
    return f"{head}。{do}" if do else head


@lru_cache(maxsize=1)
def chinese() -> Mapping[str, Mapping[str, str]]:
    """Return code to part to template."""
    found: dict[str, Mapping[str, str]] = {}
    for name in CHINESE_FILES:
        found.update(tomllib.loads(files(__name__).joinpath(name).read_text(encoding="utf-8")))
    return found
