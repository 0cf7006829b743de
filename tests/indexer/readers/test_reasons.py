"""Every reason for leaving a file out has words."""

from typing import get_args

from quarry.indexer.readers.base import Reason
from quarry.indexer.readers.reasons import REASONS


def test_every_reason_has_words_of_its_own():
    assert set(REASONS) == set(get_args(Reason))
    assert len({message.code for message in REASONS.values()}) == len(REASONS)
