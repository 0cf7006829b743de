"""Makes text of documents and models harmless: nothing invisible, no image, no link that its source does not have.

A model that follows an injected instruction leaks through what is rendered: an image loads by itself, a link carries text
in its address, and zero-width or tag characters carry messages that nobody sees (arXiv 2302.12173; Rehberger, ASCII
smuggling, 2024). So markup that loads or links is taken apart here, whatever the model was told.
"""

import re
from collections.abc import Collection

# Controls but tab, line feed and form feed; what is invisible or reorders: soft hyphen, joiners, bidi marks, fillers,
# variation selectors, tags. Emoji sequences fall into their parts, which is the price.
_INVISIBLE = re.compile(
    "[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{1,20}):(?=//)(?P<rest>[^\s<>\"'`()\[\]{}（）【】《》“”，。；！？、]*)"
    r"|(?P<bare>www\.)(?P<tail>[^\s<>\"'`()\[\]{}（）【】《》“”，。；！？、]+)",
    re.IGNORECASE,
)
_ACTIVE = re.compile(r"(?<![A-Za-z])(?P<scheme>javascript|vbscript|data|file|mailto|tel):(?=[^\s/])", re.IGNORECASE)
_IMAGE = re.compile(r"!+(?=\[)")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LINKED = re.compile(r"\](?=[(\[])")
_REFERENCE = re.compile(r"(?m)^(?P<name>[ \t]*\[[^\]\n]{1,80}\]):")
_URL_ENDS = ".,;:!?*_~|\\"


def visible(text: str) -> str:
    """Return text without invisible, reordering and control characters, its line ends unified."""
    return _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))


def urls(text: str) -> frozenset[str]:
    """Return the addresses that a text holds, without the punctuation behind them."""
    return frozenset(_address(match) for match in _URL.finditer(visible(text)))


def foreign_urls(text: str, allowed: Collection[str]) -> tuple[str, ...]:
    """Return the addresses and active schemes of a text that are not among the allowed ones, in order, as they are shown."""
    found = [
        (match.start(), _defanged(_address(match))) for match in _URL.finditer(text) if _address(match) not in allowed
    ]
    found += [(match.start(), match["scheme"].lower() + "[:]") for match in _ACTIVE.finditer(text)]
    return tuple(dict.fromkeys(shown for _, shown in sorted(found)))


def defang(text: str, allowed: Collection[str] = ()) -> str:
    """Return text in which nothing loads, links or runs when it is shown as Markdown or HTML.

    Args:
        text: A model's or document's.
        allowed: Addresses (as `urls` gives them) that stay readable as they are.
    """
    text = _TAG.sub("‹", visible(text))
    text = _LINKED.sub("] ", _IMAGE.sub("", text))
    text = _REFERENCE.sub(r"\g<name> -", text)
    text = _ACTIVE.sub(lambda match: f"{match['scheme']}[:]", text)
    return _URL.sub(lambda match: _kept(match, allowed), text)


def _kept(match: re.Match[str], allowed: Collection[str]) -> str:
    address = _address(match)
    behind = match.group()[len(address) :]
    return (address if address in allowed else _defanged(address)) + behind


def _address(match: re.Match[str]) -> str:
    return match.group().rstrip(_URL_ENDS)


def _defanged(address: str) -> str:
    """`https://host.name/path` becomes `hxxps[:]//host[.]name/path`, the usual way to write an address that must not link."""
    scheme, colon, rest = address.partition("://")
    if not colon:
        return address.replace(".", "[.]")
    host, slash, path = rest.partition("/")
    safe = re.sub("http", "hxxp", scheme, flags=re.IGNORECASE)
    return f"{safe}[:]//{host.replace('.', '[.]')}{slash}{path}"
