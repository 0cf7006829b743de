"""What JSON for programs is made of."""

import json

from quarry.app.cli.console import out_json
from quarry.indexer.build import BuildReport
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.messages import Message


def test_messages_inside_records_are_sentences(capsys):
    detail = Message.of("readers.test", "it has {count:page|pages}", do="Convert it", count=1)
    names = BuildReport.__dataclass_fields__
    values = dict.fromkeys(names, 0) | {
        "skipped": (Skipped("a.pdf", "empty", detail),),
        "seconds": {"reading": 0.5},
    }
    out_json([BuildReport(**values), {"b", "a"}])
    report, names = json.loads(capsys.readouterr().out)
    assert report["skipped"] == [{"source": "a.pdf", "reason": "empty", "detail": "it has 1 page. Convert it"}]
    assert report["seconds"] == {"reading": 0.5}
    assert names == ["a", "b"]
