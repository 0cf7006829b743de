"""Numbers as lists count them: 3, c, iii, 三. Of Word, OpenDocument, PowerPoint and HTML."""

_DIGITS = "零一二三四五六七八九"
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip  # a table
_CHINESE = frozenset({
    "chineseCounting", "chineseCountingThousand", "japaneseCounting", "ideographDigital", "taiwaneseCounting",
    "taiwaneseCountingThousand", "japaneseDigitalTenThousand",
})  # fmt: skip  # a table
_LEGAL = {
    "chineseLegalSimplified": "壹贰叁肆伍陆柒捌玖拾佰仟", "ideographLegalTraditional": "壹貳參肆伍陸柒捌玖拾佰仟",
    "japaneseLegal": "壱弐参四伍六七八九拾百阡",
}  # fmt: skip  # a table
_PLAIN = "一二三四五六七八九十百千"
_SERIES = {  # kinds that count with signs of their own, and with digits after the last
    "ideographTraditional": "甲乙丙丁戊己庚辛壬癸",
    "ideographZodiac": "子丑寅卯辰巳午未申酉戌亥",
    "decimalEnclosedCircle": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
    "decimalEnclosedCircleChinese": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
    "decimalEnclosedParen": "⑴⑵⑶⑷⑸⑹⑺⑻⑼⑽⑾⑿⒀⒁⒂⒃⒄⒅⒆⒇",
    "decimalEnclosedFullstop": "⒈⒉⒊⒋⒌⒍⒎⒏⒐⒑⒒⒓⒔⒕⒖⒗⒘⒙⒚⒛",
    "ideographEnclosedCircle": "㊀㊁㊂㊃㊄㊅㊆㊇㊈㊉",
}
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_MOST_COUNTED = 9999


def chinese_number(number: int) -> str:
    """Return a number below 10,000 in Chinese, as in 第一百零二条."""
    if not 0 < number <= _MOST_COUNTED:
        return str(number)
    text, gap = "", False
    for unit, sign in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // unit % 10
        if digit:
            text += ("零" if gap and text else "") + _DIGITS[digit] + sign
        gap = digit == 0
    return text.removeprefix("一") if text.startswith("一十") else text


def counted(number: int, kind: str) -> str:
    """Return a number as a format of Word writes it."""
    if kind in _CHINESE:
        return chinese_number(number)
    if kind in _LEGAL:
        return chinese_number(number).translate(str.maketrans(_PLAIN, _LEGAL[kind]))
    if kind in _SERIES:
        return _SERIES[kind][number - 1] if 0 < number <= len(_SERIES[kind]) else str(number)
    if kind == "ordinal":
        return f"{number}{'th' if number % 100 in (11, 12, 13) else _ENDINGS.get(number % 10, 'th')}"
    if kind in ("lowerLetter", "upperLetter"):
        text = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return text.upper() if kind == "upperLetter" else text
    if kind in ("lowerRoman", "upperRoman") and number <= _MOST_COUNTED:
        text, rest = "", number
        for value, sign in _ROMAN:
            text += sign * (rest // value)
            rest %= value
        return text.upper() if kind == "upperRoman" else text
    return f"{number:02}" if kind == "decimalZero" else str(number)
