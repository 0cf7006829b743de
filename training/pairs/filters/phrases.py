"""Alternatives of phrases, found in a text in one pass for each script that it holds."""

import re


class Phrases:
    r"""Phrases in Latin letters, phrases that begin with a sign or a digit, and Chinese ones; case does not count.

    Alternatives are lowercase and begin with a plain character wherever possible: then an expression leaves a place of the text after a
    look at one character. Latin ones begin where a word does, and Chinese ones are not looked for in ASCII, so that long texts cost little.

    Example:
        >>> sorted(Phrases("buy now|pills?", r"\d\d% off", "包邮").found("Buy NOW: 50% off, no spills, 包邮"))
        ['50% off', 'buy now', '包邮']
    """

    def __init__(self, latin: str, signs: str, chinese: str) -> None:
        """Compile the alternatives of regular expressions, without groups that capture."""
        self._of_any = [re.compile(f"(?<![a-z])(?:{latin})", re.DOTALL), re.compile(signs, re.DOTALL)]
        self._of_others = [*self._of_any, re.compile(chinese, re.DOTALL)]

    def found(self, text: str) -> set[str]:
        """Return the phrases of a text, in lowercase."""
        low = text.lower()
        return {one for parts in (self._of_any if text.isascii() else self._of_others) for one in parts.findall(low)}
