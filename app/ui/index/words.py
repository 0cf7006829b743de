"""What the library tells in English sentences, in the interface's language. A sentence that is not known stays as it is."""

import re

from quarry.app.ui.shared.shown_text import Say, safe

ROLLED_BACK, SWITCHED = "rolled back in the app", "switched in the app"
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
    (re.escape(ROLLED_BACK), "在应用中回退"),
    (re.escape(SWITCHED), "在应用中切换"),
)
_SEEN = (
    (r"generation (\S+), (\d+) documents, made (\S+)", r"第 \1 代，\2 篇文档，建于 \3"),
    (r"(\d+) files match their recorded size and SHA-256", r"\1 个文件的大小和 SHA-256 与记录相符"),
    (r"the text database is sound", "文本库完好"),
    (r"passages differ: (.+)", r"各处段落数不同：\1"),
    (r"(\d+) passages everywhere \((.+)\)", r"各处均有 \1 个段落（\2）"),
    (r"(\d+) passages are in the texts or the vectors only", r"\1 个段落只在文本库或只在向量中"),
    (r"dense and lexical search hold the same passages", "向量检索与词项检索的段落相同"),
    (r"(\d+) vectors are searched by scan", r"\1 个向量未入索引，只能逐个比较"),
    (r"no vector is left out of the store's index", "所有向量都在索引中"),
    (
        r"terms were made by (.+), and (.+) is installed: some words may not be found",
        r"词项由 \1 切分，而现在安装的是 \2：有些词可能找不到",
    ),
    (r"terms were made by (.+), as installed", r"词项由 \1 切分，与现在安装的相同"),
    (r"no embedding model: BM25 only", "没有向量模型：仅用 BM25"),
    (
        r"(\S+) \((.+), revision (\S+)\) loads and matches the index, computing in (\S+) on the CPU",
        r"\1（\2，修订 \3）可以加载，与索引相符，在 CPU 上以 \4 计算",
    ),
    (r"(\S+) \((.+), revision (\S+)\) loads and matches the index", r"\1（\2，修订 \3）可以加载，与索引相符"),
    (
        r"(\S+) from the offline bundle is used, because no BGE model could be had on this machine",
        r"使用离线包中的 \1，因为本机没有可用的 BGE 模型",
    ),
    (r"a stored passage finds itself with similarity (\S+) only", r"有段落与自己的相似度只有 \1"),
    (
        r"(\d+) sampled passages find themselves \(similarity at least (\S+)\)",
        r"抽查的 \1 个段落都找到了自己（相似度不低于 \2）",
    ),
    (r"(.+) \(run (\S+), revision (\S+)\) is as it was recorded", r"\1（运行 \2，修订 \3）与记录相符"),
    (
        r"(\S+) GB free, the live generation has (\S+) MB: too little to build the next one",
        r"剩余 \1 GB，使用中的一代占 \2 MB：不够建立下一代",
    ),
    (r"(\S+) GB free, the live generation has (\S+) MB", r"剩余 \1 GB，使用中的一代占 \2 MB"),
    (r"unfinished builds: (.+) \(the next run removes them\)", r"未完成的构建：\1（下次运行会清除）"),
)
_NOTES = (
    (r"made on first use, in about ten seconds", "首次使用时生成，约十秒"),
    (r"the offline bundle is not installed; install it with (.+)", r"未安装离线包；安装：\1"),
    (r"(\S+) (\S+) is installed; expected (\S+): (.+)", r"已安装 \1 \2，需要 \3：\4"),
    (r"(\S+) is in the local model cache without a snapshot", r"本机模型缓存中的 \1 没有快照"),
)


def why_words(reason: str, say: Say) -> str:
    """Return why a generation went live."""
    return said(reason, _SWITCHES, say)


def seen_words(message: str, say: Say) -> str:
    """Return what a check of the doctor saw. Errors stay English: they are what to search for, or to send to somebody."""
    return said(message, _SEEN, say)


def note_words(note: str, say: Say) -> str:
    """Return what is to be known of a model."""
    return said(note, _NOTES, say)


def said(sentence: str, table: tuple[tuple[str, str], ...], say: Say) -> str:
    """Return a sentence, or its translation by the first pattern that fits it whole; safe to show."""
    for pattern, chinese in table:
        if found := re.fullmatch(pattern, sentence):
            return safe(say(sentence, found.expand(chinese)))
    return safe(sentence)
