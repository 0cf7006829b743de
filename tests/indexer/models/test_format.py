"""How a model folder is used: its `modules.json`, sound and broken."""

import json

import pytest

from quarry.indexer.errors import ModelError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.format import Module, modules
from quarry.indexer.models.source import resolve_model
from tests.indexer.models.tiny_models import make_model

BROKEN = (
    '[{"idx": 0, "name": "0", "path": ""}]',
    '[{"type": "a.Pooling"}]',
    '[{"type": 1, "path": ""}]',
    '["a"]',
    '{"a": 1}',
    "1",
    "{",
    '[{"type": "a.Dense", "path": "../../secret"}]',
    '[{"type": "a.Dense", "path": "/etc"}]',
    '[{"type": "a", "path": null}]',
)


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_list_of_modules_is_named(tmp_path, content):
    folder = make_model(tmp_path / "m", "bert")
    (folder / "modules.json").write_text(content)
    for use in (modules, load_embedder, lambda path: resolve_model(str(path))):
        with pytest.raises(ModelError, match=r"m/modules\.json is damaged .*; expected a list of objects") as raised:
            use(folder)
        assert raised.value.message.code == "models.damaged_modules"


def test_modules_come_in_order_and_a_folder_without_them_has_none(tmp_path):
    assert modules(tmp_path) == []
    listed = [{"type": "a.b.Transformer", "path": ""}, {"type": "a.b.Pooling", "path": "1_Pooling"}]
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    assert modules(tmp_path) == [Module("Transformer", ""), Module("Pooling", "1_Pooling")]
