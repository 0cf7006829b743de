"""The two languages of the interface, for presenters that are asked without a page."""


def english(text: str, _chinese: str) -> str:
    return text


def chinese(_english: str, text: str) -> str:
    return text
