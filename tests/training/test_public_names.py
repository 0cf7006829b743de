"""The public names of `quarry.training` and of its loop can be imported, and a wrong one says which there are."""

import pytest

import quarry.training as training
from quarry.training import tuning


@pytest.mark.parametrize("package", [training, tuning], ids=["training", "tuning"])
def test_every_public_name_is_there(package):
    assert sorted(package._HOMES) == sorted(package.__all__)
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match=r"has no attribute 'tun'; public names: .*tune"):
        _ = package.tun
