"""Numbers, dates and identifiers of both languages in one form."""

import pytest

from quarry.retriever.answers.facts import identifiers_in, numbers_claimed, numbers_in


@pytest.mark.parametrize(
    ("text", "claimed"),
    [
        ("续借三次，每天罚款0.50元，共一千二百元", {"3", "0.5", "1200"}),
        ("twice a day, ten books, on March 5, 2026", {"2", "10", "3", "5", "2026"}),
        ("1,000.50 euros and 5万元", {"1000.5", "5", "50000"}),
        ("2026-11-21", {"2026", "11", "21"}),
        ("２０２６年十一月二十一日", {"2026", "11", "21"}),
        ("十分重要，一个人，统一管理，百分之", set()),
        ("one of the first books may be lent", set()),
        ("007 and 7.00", {"7"}),
        ("一亿两千万人", {"120000000"}),
    ],
)
def test_numbers_that_a_sentence_claims(text, claimed):
    assert numbers_claimed(text) == claimed
    assert claimed <= numbers_in(text)


def test_a_source_may_write_a_number_in_any_way():
    assert "2" in numbers_in("图书可以续借两次")
    assert "2" in numbers_in("renewed twice")
    assert "10" in numbers_in("十本书")
    assert "3" in numbers_in("in March")
    assert "1" in numbers_in("一次")


def test_identifiers():
    text = (
        "The SKU-6678 of BGE-M3, well-known e.g. 19th CO2 foo.bar@x.org camelCase9 km/h SLA v2.0.1 10km 2026-11-21 5:30"
    )
    assert identifiers_in(text) == {"sku-6678", "bge-m3", "co2", "foo.bar@x.org", "camelcase9", "sla", "v2.0.1", "10km"}
