"""Keys of an index: kept as digests, rotated with an overlap, revoked at once, and read again by running servers."""

import json
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from quarry.app.keys import KeyRing, Secret, add_key, keys_path, read_keys, revoke_key, rotate_key
from quarry.indexer.errors import SettingsError


def bearer(secret):
    return f"Bearer {secret}"


def test_the_file_holds_no_secret_and_only_its_owner_reads_it(tmp_path):
    secret = add_key(tmp_path, "ann", ["ann", "staff"])
    content = keys_path(tmp_path).read_text()
    assert secret not in content
    assert secret.removeprefix("qk_") not in content
    assert stat.S_IMODE(keys_path(tmp_path).stat().st_mode) == 0o600
    assert [(key.name, key.principals) for key in read_keys(tmp_path)] == [("ann", ("ann", "staff"))]


def test_a_server_follows_without_a_restart(tmp_path):
    ring = KeyRing(tmp_path)
    assert not ring.required
    ann = add_key(tmp_path, "ann", ["ann"])
    assert ring.required
    assert ring.holder(bearer(ann)).name == "ann"
    bob = add_key(tmp_path, "bob", None)
    assert ring.holder(bearer(bob)).principals is None
    revoke_key(tmp_path, "ann")
    assert ring.holder(bearer(ann)) is None
    assert ring.holder(bearer(bob)).name == "bob"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {}x", "Bearer qk_", "bearer é"])
def test_only_the_whole_secret_after_bearer_opens(tmp_path, header):
    secret = add_key(tmp_path, "ann", ["ann"])
    assert KeyRing(tmp_path).holder(header.format(secret)) is None
    assert KeyRing(tmp_path).holder(f"bearer  {secret} ").name == "ann"


def test_a_rotated_key_has_two_secrets_for_a_while_and_its_principals_stay(tmp_path):
    old = add_key(tmp_path, "ann", ["staff"])
    new = rotate_key(tmp_path, "ann", timedelta(hours=1))
    ring = KeyRing(tmp_path)
    assert {ring.holder(bearer(each)).principals for each in (old, new)} == {("staff",)}
    newest = rotate_key(tmp_path, "ann", timedelta(0))
    assert ring.holder(bearer(old)) is None
    assert ring.holder(bearer(new)) is None
    assert ring.holder(bearer(newest)).name == "ann"
    now = datetime.now(UTC)
    assert Secret("", now + timedelta(seconds=1)).holds(now)
    assert not Secret("", now).holds(now)


def test_a_damaged_or_removed_file_opens_nothing(tmp_path):
    ring, secret = KeyRing(tmp_path), add_key(tmp_path, "ann", ["ann"])
    assert ring.holder(bearer(secret))
    whole = keys_path(tmp_path).read_bytes()
    for content in (whole[: len(whole) // 2], b"[]", b'{"format": 9, "keys": []}'):
        keys_path(tmp_path).write_bytes(content)
        assert ring.holder(bearer(secret)) is None
        assert ring.required
        assert "cannot be read" in ring.problem
        with pytest.raises(SettingsError, match="cannot be read"):
            read_keys(tmp_path)
    keys_path(tmp_path).unlink()
    assert ring.required  # of a server that had keys
    assert ring.holder(bearer(secret)) is None
    keys_path(tmp_path).write_bytes(whole)
    assert ring.holder(bearer(secret)).name == "ann"


def test_names_are_unique_and_must_be_known(tmp_path):
    add_key(tmp_path, "ann", ["ann"])
    with pytest.raises(SettingsError, match="there is a key ann"):
        add_key(tmp_path, "ann", ["bob"])
    for change in (lambda: revoke_key(tmp_path, "bob"), lambda: rotate_key(tmp_path, "bob", timedelta())):
        with pytest.raises(SettingsError, match="one of ann"):
            change()


def test_the_command_adds_lists_rotates_and_revokes(tmp_path):
    from tests.app.server.serving import small_index

    index = small_index(tmp_path / "index")

    def run(*words):
        command = [sys.executable, "-m", "quarry.app.cli", "keys", str(index), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    secret = run("add", "ann", "--as", "ann,staff").stdout.strip()
    assert KeyRing(index).holder(bearer(secret)).principals == ("ann", "staff")
    assert run("add", "root", "--everything").returncode == 0
    listed = json.loads(run("--json").stdout)
    assert [(key["name"], key["principals"]) for key in listed] == [("ann", ["ann", "staff"]), ("root", None)]
    assert run("rotate", "ann", "--overlap", "0").stdout.strip() != secret
    assert KeyRing(index).holder(bearer(secret)) is None
    assert run("revoke", "ann").stdout == "ann: revoked\n"
    for wrong in (
        ["add"],
        ["list", "ann"],
        ["revoke", "root", "--everything"],
        ["add", "x", "--as", "y", "--everything"],
    ):
        assert run(*wrong).returncode == 2, wrong
