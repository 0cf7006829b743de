"""What the library tells in English sentences, in the interface's language. A sentence that is not known stays as it is."""

import re

from quarry.app.ui.shared.shown_text import Say, safe
from quarry.indexer.messages import Message

ROLLED_BACK = Message.of("ui.rolled_back", "rolled back in the app")
SWITCHED = Message.of("ui.switched", "switched in the app")
_SWITCHES = (
    (r"promoted", "上线"),
    (r"promoted against the verdict", "不顾结论而上线"),
    (r"promoted the reranker", "重排模型上线"),
    (r"promoted the reranker against the verdict", "重排模型不顾结论而上线"),
    (r"rolled back the reranker of (\S+)", r"从第 \1 代的重排模型回退"),
    (r"rolled back the model of (\S+)", r"从第 \1 代的模型回退"),
    (r"built", "首次建立"),
    (r"updated", "更新"),
    (r"rebuilt", "重建"),
    (r"rolled back", "回退"),
    (r"switched by hand", "手动切换"),
    (re.escape(str(ROLLED_BACK)), "在应用中回退"),
    (re.escape(str(SWITCHED)), "在应用中切换"),
)
_NOTES = (
    (r"made on first use, in about ten seconds", "首次使用时生成，约十秒"),
    (r"the offline bundle is not installed; install it with (.+)", r"未安装离线包；安装：\1"),
    (r"(\S+) (\S+) is installed; expected (\S+): (.+)", r"已安装 \1 \2，需要 \3：\4"),
    (r"(\S+) is in the local model cache without a snapshot", r"本机模型缓存中的 \1 没有快照"),
)


def why_words(reason: Message, say: Say) -> str:
    """Return why a generation went live."""
    return said(str(reason), _SWITCHES, say)


def note_words(note: Message | None, say: Say) -> str:
    """Return what is to be known of a model."""
    return said(str(note), _NOTES, say) if note else ""


def said(sentence: str, table: tuple[tuple[str, str], ...], say: Say) -> str:
    """Return a sentence, or its translation by the first pattern that fits it whole; safe to show."""
    for pattern, chinese in table:
        if found := re.fullmatch(pattern, sentence):
            return safe(say(sentence, found.expand(chinese)))
    return safe(sentence)
