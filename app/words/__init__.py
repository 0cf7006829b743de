"""The library's messages in the languages of the interface.

    words(message, "zh")       quarry.indexer.messages.Message -> a sentence
    message_of(err)            an exception -> its message
    part(message, "do", "zh")  one part of a message

English is written where a message is made; Chinese is in this folder, one TOML file per package, by code:

    ["model.no_folder"]
    found = "{folder} 不是文件夹"
    expected = "模型文件夹"
    do = "请运行 `quarry models`"

Parameters are formatted by the template's own language: `{count:passage|passages}` in English is `{count:,} 个段落` in Chinese, a
list is joined by a comma or by an enumeration comma, and a parameter that is a message is written in the same language. A
sentence of another library, or of an older file, is shown as it is.

The words around a written answer are in `answers`. A test holds that every code of the source is here with the same parts and
the same names in braces.
"""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from string import Formatter
from typing import Literal, TypeAlias

from quarry.indexer.errors import SearchError
from quarry.indexer.memory import out_of_memory
from quarry.indexer.messages import PARTS, PLAIN, Message, english, filled

InterfaceLanguage: TypeAlias = Literal["en", "zh"]
CHINESE_FILES = ("indexer.zh.toml", "retriever.zh.toml", "training.zh.toml", "app.zh.toml")


def words(message: Message, language: InterfaceLanguage) -> str:
    """Return a message as a sentence: `found; expected ... . Do` or `found；应为……。Do`.

    Example:
        >>> message = Message.of("ui.job_busy", "another job is running", expected="none", do="Wait for it, or stop it")
        >>> words(message, "en")
        'another job is running; expected none. Wait for it, or stop it'
        >>> words(Message.plain("disk I/O error"), "zh")
        'disk I/O error'
    """
    return english(message) if language == "en" else _chinese(message)


def message_of(err: Exception) -> Message:
    """Return what an exception says as a message; one of another library says it in English."""
    if isinstance(err, SearchError):
        return err.message
    return out_of_memory(err) or Message.plain(str(err) or type(err).__name__)


def part(message: Message, name: str, language: InterfaceLanguage) -> str:
    """Return one part of a message, `found`, `expected` or `do`, empty when it has none."""
    own = getattr(message, name)
    template = own if language == "en" or not own else chinese().get(message.code, {}).get(name, own)
    if template is own or not _names(template) <= set(message.params):  # written by another version, with other names
        return message.part(name) if language == "en" else filled(own, message.params, _chinese, "、", "；")
    return filled(template, message.params, _chinese, "、", "；")


def _names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


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
