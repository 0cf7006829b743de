"""Signs of advertising that nobody asked for, and of texts that attack whoever reads them, in Chinese and English.

Spam is judged by several signs together, so that one word, a link or an exclamation mark condemns no text: a phrase that hardly
stands anywhere else counts two, one that good texts have as well counts one, so do links, addresses and shouting; from three on a text
is spam. An attack is markup that runs, a command that destroys, or an order to a language model; what stands in code marks is a
quotation and counts for nothing.
"""

import re
from collections import Counter

from quarry.indexer.language import length_in_words
from quarry.training.pairs.filters.phrases import Phrases

_SPAM = 3  # points
_STRONG = Phrases(
    r"online casino|casino bonus|free spins|slot machines? online|sports? betting|no deposit bonus|viagra|cialis|levitra|"
    r"male enlargement|penis enlargement|weight[- ]loss pills?|diet pills?|miracle (?:cure|pill|weight)|"
    r"lose \d+ (?:pounds|lbs|kg) in|cheap (?:pills|meds|pharmacy|viagra|cialis)|discount (?:pills|meds|pharmacy|viagra|cialis)|"
    r"generic (?:pills|meds|pharmacy|viagra|cialis)|online (?:pills|meds|pharmacy|viagra|cialis)|no prescription|"
    r"replica (?:watch|rolex|handbag|bag)|payday loans?|instant (?:loan|cash)|bad credit (?:check|ok)|no credit (?:check|ok)|"
    r"make money (?:fast|online|from home)|earn (?:up to )?[$€£]\s?\d[\d,]*|work from home and|get rich quick|"
    r"double your (?:money|bitcoin|income)|guaranteed (?:profit|income|returns?|winnings?)|you have (?:won|been selected)|"
    r"you've (?:won|been selected)|claim your (?:prize|reward|bonus|gift)|congratulations[,!]? you|free (?:iphone|ipad|gift card)|"
    r"nigerian prince|buy (?:followers|likes|backlinks|instagram)|hot (?:singles|girls)|sexy? (?:girls|singles|chat|cams?)|"
    r"adult (?:dating|chat|cams?)|verify your (?:account|password|bank)|your account (?:has been|was|is) (?:suspended|locked|limited)|"
    r"crypto (?:giveaway|doubler)|bitcoin (?:giveaway|doubler)|seo (?:services?|packages?) (?:from|at|cheap)|"
    r"vx(?:号|群)?[:：]?\s?[a-z0-9_]{5,}|qq(?:号|群)?[:：]?\s?[a-z0-9_]{5,}",
    r"[$€£]\s?\d[\d,]* (?:a|per) (?:day|week|hour)",
    r"博彩|六合彩|时时彩|百家乐|真人娱乐|娱乐城|赌场|彩金|下注|澳门.{0,4}(?:娱乐|赌|威尼斯)|开户(?:送|即送)|注册(?:就|即)?送|首存|"
    r"伟哥|壮阳|延时喷剂|丰胸|无效退款|包治|祖传秘方|\d天(?:瘦|见效|减)|[一二三四五七十]天(?:瘦|见效|减)|减肥(?:神器|药|茶)|"
    r"代开.{0,4}(?:发票|证明)|代办.{0,6}(?:证|贷|学历|信用卡)|办证|刻章|枪手|代写论文|代考|高仿|a货|原单|"
    r"无抵押|秒(?:批|到账|放款)|当天放款|黑户|套现|刷单|日(?:赚|入|结)|月入(?:过?万|\d)|躺赚|稳赚|包赚|暴利|轻松(?:赚|月入)|兼职招聘|"
    r"加我?(?:微信|威信|薇信|v信|vx|qq|扣扣)|微信(?:号|群)?[:：]?\s?[a-z0-9_]{5,}|威信(?:号|群)?[:：]?\s?[a-z0-9_]{5,}|"
    r"薇信(?:号|群)?[:：]?\s?[a-z0-9_]{5,}|扫码(?:加|进|领)|恭喜您?(?:中奖|获得|被抽中)|中奖(?:通知|了)|领取(?:大奖|奖品|红包)|"
    r"同城(?:约|交友)|一夜情|裸聊|成人(?:视频|网站|电影)|小姐上门|刷粉|涨粉|买粉",
)
_WEAK = Phrases(
    r"click (?:here|below|the link|now)|buy now|order (?:now|today)|act (?:now|fast)|limited[- ]time|hurry|don'?t miss|"
    r"best price|lowest price|special (?:offer|promotion)|money[- ]back|risk[- ]free|no obligation|"
    r"free (?:trial|shipping|bonus|gift|money|offer)|call now|sign up (?:now|today|free)|"
    r"subscribe now|exclusive (?:deal|offer)|amazing (?:deal|offer)|"
    r"discreet (?:shipping|packaging)|satisfaction guaranteed|once in a lifetime|winner|jackpot|casino|poker|lottery|pills?|bonus|"
    r"unsubscribe|whatsapp|telegram|investment opportunity|financial freedom|secret (?:trick|method)",
    r"\d\d ?% (?:free|off|guaranteed|discount)|100%",
    r"点击(?:这里|此处|链接|下方|领取|进入|购买)|立即(?:购买|点击|领取|抢购|注册|下单|咨询|拨打)|马上(?:抢|点击|领取|注册)|免费(?:领取|领|送|试用|咨询)|限时|"
    r"抢购|秒杀|特价|超低价|最低价|全网最低|低价|优惠|名额有限|仅剩|最后\d+|机不可失|错过|包邮|货到付款|厂家直销|"
    r"热线|咨询电话|诚招|诚信|代理|加盟|返利|红包|福利|赚钱|赢取|百分百|绝对|彩票|贷款|独家|内部(?:渠道|消息)|大促|清仓|速来|"
    r"详情请?(?:点击|咨询|加)|官方(?:正品|授权)|在线(?:赌|娱乐|投注)|网上(?:赌|娱乐|投注)",
)
_LINK = re.compile(
    r"https?://|www\.\w|\b\w+\.(?:xyz|top|click|loan|win|bet|casino|vip|cc|ru|tk)\b|bit\.ly|t\.me/", re.IGNORECASE
)
_DOTTED = re.compile(r"\.[a-zA-Z]|://")  # in every link
_CONTACT = re.compile(
    r"(?<!\d)1[3-9]\d{9}(?!\d)|400-?\d{3}-?\d{4}|\+?\d{1,2}[- ]\(?\d{3}\)?[- ]\d{3}[- ]\d{4}|[\w.]+@[\w-]+\.\w+"
)
_SHOUTING = re.compile(r"[!！]{2,}|[★☆●◆■▲►✔✅🔥💰🎁💊🎰🎉]|[$￥]{2,}")
_CAPITALS = re.compile(r"\b[A-Z]{3,}\b(?:[^a-z\n]{0,3}\b[A-Z]{2,}\b){2,}")
_WORDS = re.compile(r"[\w']+|[\u4e00-\u9fff]")
_REPEATED_WORD, _LONG = 0.2, 15  # share of one word, in texts from so many words on
_DISTINCT = 0.25  # of the words of a longer text are different, at least
_DISTINCT_FROM, _DISTINCT_TO = 20, 120

_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]{1,300}`", re.DOTALL)
_ATTACK = Phrases(
    r"javascript\s*:\s*\w|vbscript\s*:\s*\w|data:text/html|document\.(?:cookie|location)|"
    r"eval\s*\(\s*(?:base64_decode|atob|unescape)|union\s+(?:all\s+)?select\b.{0,80}\bfrom\b|rm\s+-rf\s+[/~]|"
    r"curl\s+\S+\s*\|\s*(?:sudo\s+)?(?:ba)?sh\b|wget\s+\S+\s*\|\s*(?:sudo\s+)?(?:ba)?sh\b|"
    r"powershell(?:\.exe)?\s+.{0,40}-e(?:nc|ncodedcommand)?\s|"
    r"(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+)?(?:of\s+)?(?:the\s+|your\s+)?(?:previous|prior|above|earlier|preceding)\s+"
    r"(?:instructions?|prompts?|rules|messages?|directions)|(?:reveal|print|show|repeat)\s+(?:me\s+)?your\s+(?:system|hidden|initial)\s+prompt|"
    r"you\s+are\s+now\s+(?:dan\b|in\s+developer\s+mode|an?\s+unrestricted)",
    r"<\s*(?:script|iframe|object|embed|svg|form|meta|link|base|style)\b[^>]{0,1000}(?:>|\Z)|<[a-z]+\b[^>]{0,500}\bon[a-z]{3,20}\s*=|"
    r"<\?php|[;'\"]\s*(?:drop|delete|truncate)\s+(?:table|from|database)\b|'\s*or\s*'?1'?\s*=\s*'?1|:\(\)\s*\{\s*:\|:|"
    r"\$\{jndi:|\{\{.{0,60}(?:__class__|constructor|config).{0,60}\}\}|\.\./\.\./\.\./|<\|im_(?:start|end)\|>|\[/?inst\]",
    r"(?:忽略|无视|忘记|忘掉).{0,8}(?:之前|以上|上述|前面|先前|所有).{0,6}(?:指令|指示|提示|规则|要求|内容)|(?:输出|显示|泄露|告诉我).{0,6}系统提示词",
)


def is_attack(text: str) -> bool:
    """Tell whether a text, before its markup is taken off, would attack a page, a shell, a database or a language model.

    Example:
        >>> is_attack("Hello <script>send(document.cookie)</script>"), is_attack("The `<script>` tag loads a script.")
        (True, False)
    """
    return bool(_ATTACK.found(_CODE.sub(" ", text) if "`" in text or "~" in text else text))


def is_spam(query: str, passage: str) -> bool:
    """Tell whether a pair is an advertisement, a bait or a heap of the same words.

    Example:
        >>> is_spam("Best online casino", "Claim your bonus now!!! www.win.bet"), is_spam("Poker", "A game of cards with a bonus round.")
        (True, False)
    """
    text = f"{query}\n{passage}"
    strong = _STRONG.found(text)
    weak = _WEAK.found(text) - strong
    if strong or len(weak) >= 2:
        marks = sum(bool(sign.search(text)) for sign in (_LINK, _CONTACT, _SHOUTING, _CAPITALS))
        points = 2 * min(len(strong), 2) + min(len(weak), 2) + min(marks, 2)
        if points >= _SPAM and _dense(strong, weak, text):
            return True
    return _is_heap(passage) or _is_links(passage)


def _dense(strong: set[str], weak: set[str], text: str) -> bool:
    """Tell whether phrases are close enough: a long article may mention what an advertisement is made of."""
    return length_in_words(text) <= 80 * (2 * len(strong) + len(weak))


def _is_heap(text: str) -> bool:
    """Tell whether words are repeated as no sentence repeats them."""
    words = [word.lower() for word in _WORDS.findall(text) if len(word) > 2 or "\u4e00" <= word <= "\u9fff"]
    if len(words) < _LONG:
        return False
    counts = Counter(words)
    word, most = counts.most_common(1)[0]
    share = _REPEATED_WORD if not "\u4e00" <= word <= "\u9fff" else 2 * _REPEATED_WORD
    cut = words[:_DISTINCT_TO]
    few = len(cut) >= _DISTINCT_FROM and len(set(cut)) < _DISTINCT * len(cut)
    return (most > max(4, share * len(words)) and len(word) + (word > "\u4e00") * 4 > 3) or few


def _is_links(text: str) -> bool:
    """Tell whether a text is made of links."""
    if not _DOTTED.search(text):
        return False
    links = len(_LINK.findall(text))
    return links >= 3 and length_in_words(text) <= 16 * links
