"""What training tells in English sentences, in the interface's language. An unknown sentence stays as it is."""

from quarry.app.ui.index.words import said
from quarry.app.ui.shared.shown_text import Say, told
from quarry.indexer.messages import Message

_REASONS = (
    (r"judgements replaced or withdrawn by their session", "被本人更改或撤回的判定"),
    (r"votes in a burst, one voice with another", "短时间内连续的投票，合并为一票"),
    (r"events of robots", "疑似机器人的事件"),
    (r"events of sessions that contradict the others", "与其他访客相反的访客的事件"),
    (r"disputed judgements", "有争议的判定"),
    (r"judgements of whole documents", "对整篇文档的判定"),
    (r"judgements with fewer than (\d+) voters", r"少于 \1 人的判定"),
    (r"positives that few of the query's visitors chose", "该问题的访问者中少有人选择的答案"),
    (r"positives that far fewer visitors chose than is usual", "选择者远少于通常人数的答案"),
    (r"positives of passages that are pushed for many queries", "在许多问题下被刻意推荐的段落"),
    (r"negatives that some of the query's visitors chose", "该问题有访问者选择过的反例"),
    (r"passages with too few or contradicting clicks", "点击太少或相互矛盾的段落"),
    (r"queries that are no question \(no letter, or too long\)", "不是问题的查询（没有文字，或过长）"),
    (r"queries without a positive", "没有相关段落的问题"),
    (r"passages that are not in the index any more", "已不在索引中的段落"),
    (r"beyond the limit, drawn at random", "超出上限，随机抽取后剩余的"),
    (r"no more alike to the model than random texts", "模型看来与随机文本无异的"),
    (r"query too short", "查询过短"),
    (r"query too long", "查询过长"),
    (r"passage too short", "段落过短"),
    (r"mostly signs or digits, or broken characters", "多为符号、数字或乱码"),
    (r"neither Chinese nor Latin script", "既非中文也非拉丁文字"),
    (r"passage is a copy of another one", "段落与另一段重复"),
    (r"query stands for too many passages", "查询对应的段落过多"),
    (r"passage got no answer", "语言模型没有回答的段落"),
    (r"passage was refused by the endpoint", "语言模型拒绝的段落"),
    (r"answer is not a JSON list of texts", "语言模型的回答格式不对"),
    (r"query came twice", "重复的查询"),
    (r"query too short or too long", "查询过短或过长"),
    (r"query in another language than its passage", "查询与段落语言不同"),
    (r"query copied from the passage", "照抄段落的查询"),
    (r"to train on", "用于训练"),
    (r"to choose by", "用于选择"),
    (r"held out for the verdict", "留出用于结论"),
    (r"dropped because the model does not find their positive", "模型找不到其答案而去掉的"),
    (r"left out because they ask like a judged query", "与评判查询相似而去掉的"),
    (r"held-out queries that the index has no answer to", "索引中没有答案的留出查询"),
)


def stage_words(message: Message, say: Say) -> str:
    """Return what a run is at."""
    return told(message, say)


def reason_words(reason: str, say: Say) -> str:
    """Return why something was left out, or what a count is of."""
    return said(reason, _REASONS, say)


def seconds_words(seconds: float, say: Say) -> str:
    """Return a time in two units at most."""
    whole = max(0, round(seconds))
    if whole < 60:
        return say(f"{whole} s", f"{whole} 秒")
    if whole < 3600:
        return say(f"{whole // 60} min {whole % 60:02d} s", f"{whole // 60} 分 {whole % 60:02d} 秒")
    return say(f"{whole // 3600} h {whole % 3600 // 60:02d} min", f"{whole // 3600} 小时 {whole % 3600 // 60:02d} 分")
