"""Numbers as Excel's formats show them: `0000734`, `17.5%`, `¥1,234.50`, `(1,500)`, `12件`, `555-1234`.

Sections for positive, negative and zero, quoted and bare words, groups of thousands, percent, scientific, scaled by commas. Fractions and
anything else that is not understood leave the number as it is.
"""

import re
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

_PART = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_.|\*.|\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[[^\]]*\]'
    r"|(?P<general>General)|(?P<exponent>E[+-]0{1,5})|(?P<digit>[0#?])|(?P<point>\.)|(?P<comma>,)|(?P<percent>%)|(?P<bare>.)",
    re.IGNORECASE | re.DOTALL,
)
_SECTIONS = re.compile(r'((?:"[^"]*"|\\.|\[[^\]]*\]|[^;"\\\[])*)(?:;|$)', re.DOTALL)
_LONGEST_FORMAT = 255  # Excel's own limit
_LARGEST = 1e300


@dataclass(slots=True)
class _Form:
    """One section of a format.

    Attributes:
        whole: What stands up to the decimal point: digits to fill (`0`, `#`, `?`), words as they are.
        tail: The same, after it.
        after: Words after the number.
        grouped: Thousands are set apart.
        scale: Powers of thousand that are left out.
        percents: How often the number is multiplied by 100.
        exponent: Fewest digits of the exponent, 0 for none.
        general: The number stands as it is.
    """

    whole: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)
    pointed: bool = False
    grouped: bool = False
    scale: int = 0
    percents: int = 0
    exponent: int = 0
    general: bool = False


def formatted(value: float, number_format: str) -> str:
    """Return a number as a format shows it, or as it is when the format shows nothing or is not understood.

    Example:
        >>> formatted(-1234.5, '#,##0.00;("¥"#,##0.00)'), formatted(12, '0"件"')
        ('(¥1,234.50)', '12件')
    """
    if len(number_format) > _LONGEST_FORMAT or not abs(value) < _LARGEST:
        return plain(value)
    sections = _sections(number_format)
    form, sign = sections[0] if sections else None, "-" if value < 0 else ""
    if value < 0 and len(sections) > 1:
        form, sign = sections[1], ""
    elif value == 0 and len(sections) > 2:
        form = sections[2]
    if form is None:
        return plain(value)
    try:
        shown = _shown(abs(value), form).strip()
    except InvalidOperation:
        return plain(value)
    return sign + shown if shown else plain(value)


def plain(value: float) -> str:
    """Return a number without a format: no more digits than it has."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return str(int(value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)


@lru_cache(maxsize=1_000)
def _sections(number_format: str) -> tuple[_Form | None, ...]:
    found = [match[1] for match in _SECTIONS.finditer(number_format)]
    if found and not found[-1] and not number_format.endswith(";"):
        found.pop()
    return tuple(_form(text) for text in found[:3])


def _form(section: str) -> _Form | None:
    """Take a section apart; None when it holds what is not understood."""
    form = _Form()
    digits = section.count("0") + section.count("#") + section.count("?")
    pending_commas = 0
    for match in _PART.finditer(section):
        kind, text = match.lastgroup, match[match.lastgroup] if match.lastgroup else ""
        parts = form.tail if form.pointed else form.whole
        if kind == "digit":
            form.grouped = form.grouped or (pending_commas > 0 and bool(form.whole) and not form.pointed)
            pending_commas = 0
            parts.append(f"\0{text}")
        elif kind == "comma":
            pending_commas += 1
        elif kind == "point":
            if form.pointed:
                return None
            form.scale, pending_commas, form.pointed = form.scale + pending_commas, 0, True
        elif kind == "exponent":
            form.exponent = len(text) - 2
            parts.append("\0E")
        elif kind == "general":
            form.general = True
            parts.append("\0G")
        elif kind == "bare" and (text == "/" or (text.isascii() and text.isalpha())):
            return None
        elif kind is not None:
            form.percents += kind == "percent"
            parts.append(text)
    form.scale += pending_commas
    return form if digits or form.general or not form.pointed else None


def _shown(value: float, form: _Form) -> str:
    number = Decimal(repr(value)) * Decimal(100) ** form.percents / Decimal(1000) ** form.scale
    if form.general:
        return "".join(plain(value) if part == "\0G" else part for part in form.whole)
    decimals = sum(part in ("\0" + "0", "\0#", "\0?") for part in form.tail)
    power = 0
    if form.exponent and number:
        power = number.adjusted()
        number = number.scaleb(-power)
    places = sum(part in ("\0" + "0", "\0#", "\0?") for part in (*form.whole, *form.tail))
    if not places:  # words alone
        return "".join(form.whole)
    number = number.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    whole, _, tail = f"{number:f}".partition(".")
    raised = f"E{'-' if power < 0 else '+'}{abs(power):0{form.exponent}}" if form.exponent else ""
    left = _filled_left(form, "" if whole == "0" else whole)
    right = _filled_right(form.tail, tail)
    text = left + ("." + right if form.pointed and right[:1].isdigit() else right)
    return text.replace("\0E", raised)


def _filled_left(form: _Form, digits: str) -> str:
    """Put the digits before the point into their places, from the right; what has no place stands before the first."""
    out: list[str] = []
    rest = list(digits)
    count = 0
    first = next((number for number, part in enumerate(form.whole) if part[:1] == "\0" and part != "\0E"), None)
    for number in range(len(form.whole) - 1, -1, -1):
        part = form.whole[number]
        if part[:1] != "\0" or part == "\0E":
            out.append(part)
            continue
        wanted = len(rest) if number == first else 1
        for _ in range(max(1, wanted)):
            digit = rest.pop() if rest else "0" if part == "\0" + "0" else ""
            if digit:
                if form.grouped and count and count % 3 == 0:
                    out.append(",")
                out.append(digit)
                count += 1
    return "".join(reversed(out))


def _filled_right(parts: list[str], digits: str) -> str:
    out: list[str] = []
    rest = list(digits)
    optional = 0
    for part in reversed([part for part in parts if part[:1] == "\0" and part != "\0E"]):
        if part == "\0" + "0" or (rest and rest[-1 - optional : len(rest) - optional] != ["0"]):
            break
        optional += 1
    shown = len(rest) - optional
    for part in parts:
        if part[:1] != "\0" or part == "\0E":
            out.append(part)
        elif rest:
            digit = rest.pop(0)
            if shown > 0:
                out.append(digit)
            shown -= 1
    return "".join(out)
