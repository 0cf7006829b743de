"""Texts without markup, and what is wrong with them."""

import pytest

from quarry.training.pairs import reasons
from quarry.training.pairs.filters.cleaning import clean
from quarry.training.pairs.filters.spam import is_attack, is_spam
from quarry.training.pairs.found import FoundPair
from quarry.training.pairs.texts import is_broken, is_writing, plain
from tests import ROOT
from tests.training.pairs.planted import ATTACKS, NOISE, SPAM_EN, SPAM_ZH

GOOD = [
    (
        "How do I renew a loan?",
        "Loans are renewed online or at the desk; a book that others wait for cannot be renewed.",
    ),
    (
        "How is sildenafil used?",
        "Sildenafil, sold as Viagra among others, treats erectile dysfunction. A doctor must prescribe it after an examination of the heart.",
    ),
    (
        "Casino architecture",
        "The casino of the town was built in 1910 and burned down in 1944; today a hotel stands in its place.",
    ),
    (
        "Closing accounts",
        "Your account can be closed in the settings. Click the link in the message that we send to confirm.",
    ),
    (
        "What does the script element do?",
        "The `<script>` element loads a program; put it at the end of the page, or use `defer`.",
    ),
    ("怎么续借图书？", "登录后在“我的借阅”中点击续借，每本书可以续借两次，有人预约的书不能续借。"),
    ("个人所得税优惠", "符合条件的纳税人可以享受专项附加扣除等优惠，办理时请提供合法有效的凭证和发票。"),
    ("彩票的历史", "彩票在中国有两千多年的历史，现代彩票由国家发行，收入用于社会福利和体育事业。"),
    ("微信支付如何退款", "在交易详情中申请退款，款项将在三个工作日内退回原支付账户，如有疑问请联系商家客服。"),
]


def made(query, passage, kind="question"):
    return clean(FoundPair(query, query, passage, kind, "x"))


@pytest.mark.parametrize(("query", "passage"), GOOD, ids=[query for query, _ in GOOD])
def test_good_texts_stay_though_they_name_what_spam_is_made_of(query, passage):
    assert made(query, passage) == FoundPair(query, query, passage, "question", "x")


@pytest.mark.parametrize(("query", "passage"), [*SPAM_EN, *SPAM_ZH], ids=[query for query, _ in [*SPAM_EN, *SPAM_ZH]])
def test_advertising_and_bait_are_left_out(query, passage):
    assert is_spam(query, passage)


@pytest.mark.parametrize(("query", "passage"), ATTACKS, ids=[query for query, _ in ATTACKS])
def test_attacks_are_left_out(query, passage):
    assert is_attack(passage)
    assert made(query, passage) == reasons.ATTACK


@pytest.mark.parametrize(("query", "passage"), NOISE, ids=[query for query, _ in NOISE])
def test_what_is_no_writing_is_left_out(query, passage):
    assert made(query, passage) in (reasons.NOT_WRITING, reasons.BROKEN, reasons.SPAM)


def test_markup_is_taken_off_and_the_text_stays():
    assert (
        plain("<p>How&nbsp;to <b>renew</b></p>\n\n\n\n[a loan](http://x.example/y)\u200b &amp; more")
        == "How to renew\n\na loan & more"
    )
    assert plain("if a < b and c > d") == "if a < b and c > d"


def test_writing_is_told_from_signs_in_both_languages():
    assert is_writing("力 (1)", 0.2)
    assert not is_writing("力 (1)")
    assert is_writing("Rhythms of the strength of psychology are lengths, not depths.")
    assert not is_writing("12 34 56 a")
    assert is_broken("cafÃ©Ã¨ au lait")
    assert not is_broken("café au lait, naïve façade")


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("", "A passage of several words that says something."), reasons.EMPTY),
        (("x", "A passage of several words that says something."), reasons.SHORT),
        (("How long are loans", "Thirty."), reasons.SHORT),
        (("word " * 300, "A passage of several words that says something."), reasons.LONG),
        (("How long are loans?", "how long are loans"), reasons.SAME),
        (("Как продлить книгу", "Книгу можно продлить два раза в читальном зале."), reasons.OTHER_SCRIPT),
    ],
)
def test_a_pair_that_teaches_nothing_comes_with_its_reason(pair, reason):
    assert made(*pair) == reason


def test_a_passage_does_not_begin_with_its_query_and_ends_with_a_sentence():
    text = " ".join(
        (ROOT / "docs" / "limits.md").read_text(encoding="utf-8").replace("|", " ").replace("#", " ").split()
    )
    found = made("Loan periods", f"Loan periods: Books are lent. {text}", "title")
    assert found.passage.startswith("Books are lent. ")
    assert 600 < len(found.passage) <= 1200
    assert found.passage.endswith((".", "?", "!"))
