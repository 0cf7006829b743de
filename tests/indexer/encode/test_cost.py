"""The model of cost: lines through measurements, and what follows from a collection, a model and a device."""

import pytest

from quarry.indexer.encode.cost import (
    DEVICES,
    PUBLISH_REQUESTS,
    Collection,
    active_parameters,
    codes_bytes,
    cost_of,
    device_named,
)
from quarry.indexer.encode.curves import CURVES, MEASURED, Line, curve_of
from quarry.indexer.errors import SettingsError
from quarry.indexer.models.profiles import embedder_profile

SMALL, LARGE = embedder_profile("intfloat/multilingual-e5-small"), embedder_profile("BAAI/bge-m3")


def test_lines_go_through_their_points_and_never_begin_below_zero():
    line = Line.through((2_000, 30.0), (20_000, 210.0))
    assert (line.at(2_000), line.at(20_000), line.at(200_000)) == (
        pytest.approx(30),
        pytest.approx(210),
        pytest.approx(2_010),
    )
    assert Line.through((2, 10.0), (4, 40.0)) == Line(10.0, 0.0)
    assert set(CURVES) == set(MEASURED)


def test_words_are_a_power_titles_are_by_documents_and_probes_of_one_size():
    words = curve_of("vocabulary_bytes", (2_000, 5e5), (20_000, 2e6))
    assert words.at(2_000) == pytest.approx(5e5)
    assert words.at(200_000) == pytest.approx(8e6)
    assert curve_of("probes_bytes", (2_000, 1e6), (20_000, 1.2e6)).at(200_000) == 1.2e6
    few, many = (Collection(documents, words=24_000_000 / documents) for documents in (10**4, 10**5))
    less, more = (cost_of(each, SMALL, device_named("h100")).index_bytes["vectors"] for each in (few, many))
    assert (more - less) / (4 * 384 * 90_000) == pytest.approx(1, rel=0.6)  # one title each, and some passages more


def test_the_default_store_has_codes_above_the_size_up_to_which_it_is_exact():
    assert codes_bytes(80_000, 384) == 0
    assert codes_bytes(100_000, 384) == 100_000 * 96


def test_passages_and_tokens_follow_the_length_of_documents():
    assert Collection(1_000, words=100).passages == 1_000
    longer = Collection(1_000, words=1_200)
    assert longer.tokens == pytest.approx(1_596_000)
    assert 1_000 * 1_596 / 320 < longer.passages < 1_000 * (1_596 / 320 + 1)


def test_ten_times_the_documents_take_ten_times_the_hours_bytes_and_requests():
    one, ten = (cost_of(Collection(count), LARGE, device_named("h100")) for count in (10**7, 10**8))
    assert ten.encoding_hours == pytest.approx(10 * one.encoding_hours)
    assert sum(ten.index_bytes.values()) == pytest.approx(10 * sum(one.index_bytes.values()), rel=0.01)
    assert ten.requests - PUBLISH_REQUESTS == pytest.approx(10 * (one.requests - PUBLISH_REQUESTS), rel=0.01)
    assert ten.shard_bytes == 4 * 1024 * ten.passages


def test_a_larger_model_takes_longer_and_wider_vectors_more_room():
    small, large = (cost_of(Collection(10**6), model, device_named("h100")) for model in (SMALL, LARGE))
    ratio = active_parameters(LARGE) / active_parameters(SMALL)
    assert large.encoding_hours / small.encoding_hours == pytest.approx(ratio)
    assert large.index_bytes["vectors"] == pytest.approx(small.index_bytes["vectors"] * 1024 / 384, rel=0.001)
    assert large.index_bytes["terms"] == small.index_bytes["terms"]
    eight = cost_of(Collection(10**6), LARGE, device_named("h100"), devices=8)
    assert eight.encoding_hours == pytest.approx(large.encoding_hours / 8)
    assert "token_states" in cost_of(Collection(10**6), SMALL, DEVICES["cpu"], token_states=True).index_bytes


def test_the_measured_speeds_come_out_again():
    """1,988 abstracts a second on an H100 and ten passages a second on a core, by the small model (docs/results)."""
    for name, rate, tokens in (("h100", 1_988, 250), ("cpu", 10, 200)):
        seconds = 3600 * cost_of(Collection(10_000, words=tokens / 1.33), SMALL, DEVICES[name]).encoding_hours
        assert 10_000 / seconds == pytest.approx(rate, rel=0.1)


def test_unknown_devices_are_refused():
    with pytest.raises(
        SettingsError, match="no speed is known of the device abacus; expected one of a10, a100, b200, cpu"
    ):
        device_named("abacus")
