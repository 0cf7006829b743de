"""What training tells in English sentences, in the interface's language. An unknown sentence stays as it is."""

from quarry.app.ui.index.words import said
from quarry.app.ui.shared.shown_text import Say, told
from quarry.indexer.messages import Message

_STAGES = (
    (r"run (\S+): tuning (.+) of generation (\S+)", r"运行 \1：微调第 \3 代的 \2"),
    (
        r"run (\S+): tuning the reranker (.+), with a new head for generation (\S+)",
        r"运行 \1：为第 \3 代从 \2 训练新的重排模型",
    ),
    (r"run (\S+): tuning the reranker (.+) for generation (\S+)", r"运行 \1：为第 \3 代微调重排模型 \2"),
    (
        r"(\d+) calls to (.+) at (\S+), (\d+) characters sent, at most (\d+) tokens back; (\d+) answers are kept from before",
        r"将调用 \3 的 \2 共 \1 次，发送 \4 个字符，最多返回 \5 个词元；已有 \6 个回答",
    ),
    (
        r"the endpoint did not answer all; what it wrote for (\d+) of (\d+) passages is used",
        r"语言模型未全部回答；使用它已为 \2 个段落中的 \1 个写出的查询",
    ),
    (r"filtering (\d+) synthetic queries by the model", r"用模型过滤 \1 个生成的查询"),
    (r"(\d+) examples by a language model", r"语言模型生成了 \1 个样本"),
    (r"(\d+) examples out of the feedback log", r"反馈日志中有 \1 个样本"),
    (r"(\d+) examples out of the documents", r"文档中有 \1 个样本"),
    (r"(\d+) examples out of (.+)", r"\2 中有 \1 个样本"),
    (r"(\d+) passages for negatives out of (.+)", r"\2 中有 \1 个段落可作负例"),
    (
        r"the candidate pool is not used: negatives come from the index, which holds the passages of all pairs",
        "未使用候选池：所有样本的段落都在索引中，负例取自索引",
    ),
    (
        r"a new head learns little from (\d+) examples, so a refusal is likely; give more pairs, or begin with a released "
        r"reranker \(--reranker FOLDER\)",
        r"仅 \1 个样本，新的输出层学到的很少，很可能被拒绝；请提供更多样本，或从已发布的重排模型开始（--reranker FOLDER）",
    ),
    (r"mining negatives for (\d+) examples", r"为 \1 个样本挖掘负例"),
    (r"training on (\d+) examples", r"用 \1 个样本训练"),
    (r"choosing how much of the tuned weights to keep", "选择保留多少微调后的权重"),
    (r"encoding the passages with the tuned model, beside the live ones", "用微调后的模型编码段落，不影响使用中的一代"),
    (r"asking (\d+) held-out queries of both, by (\S+)", r"用两个模型回答 \1 个留出查询（\2）"),
    (r"asking (\d+) held-out queries by (\S+), reranked by (.+)", r"回答 \1 个留出查询（\2），重排：\3"),
    (r"reranking the general set by (.+)", r"在通用集上评测重排：\1"),
    (r"measuring both on the general set", "在通用集上评测两个模型"),
    (r"generation (\S+) answers now; the tuned model is compared with it", r"现由第 \1 代回答，改与它比较"),
    (
        r"waiting: .+ is being written by process (\d+) on (\S+) since (\S+); .+",
        r"等待：\2 上的进程 \1 自 \3 起正在写入索引",
    ),
)
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


def stage_words(stage: Message | str, say: Say) -> str:
    """Return the stage of a run."""
    return told(stage, say) if isinstance(stage, Message) else said(stage, _STAGES, say)


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
