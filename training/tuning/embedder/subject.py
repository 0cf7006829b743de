"""The embedder as the loop tunes it: fine-tuned, merged with its base, its vectors beside the live ones, one switch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from quarry.indexer.build import build_candidate
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError, ModelError, SettingsError
from quarry.indexer.messages import Message
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.indexer.opened import Index
from quarry.indexer.storage.facts import EmbedderFacts
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.stores.lake.view import address_of
from quarry.retriever.data.datasets import Dataset, load_dataset
from quarry.retriever.models.recorded import recorded_embedder, recorded_source, usable_device
from quarry.retriever.searcher import Searcher
from quarry.training.fit.spec import TrainSpec
from quarry.training.tuning.candidates import MODELS
from quarry.training.tuning.data import TuningData
from quarry.training.tuning.embedder.estimate import PROBED, estimate, seconds_per_character, work_of
from quarry.training.tuning.gate import judge
from quarry.training.tuning.plan import Exam, TuningObserver
from quarry.training.tuning.processes import Job, finetune_in_processes
from quarry.training.tuning.promotion import lineage_of, promote
from quarry.training.tuning.run import TuningRun
from quarry.training.tuning.subject import Fitted, Judged
from quarry.training.tuning.trials import Contender, calibration, general_trial, held_out_trial
from quarry.training.tuning.turn import in_turn


@dataclass(frozen=True, slots=True)
class EmbedderSubject:
    """The embedder of an index; see `quarry.training.tuning.subject.Subject`.

    Attributes:
        root: The index folder.
        spec: How it is trained.
        merge: Shares of the tuned weights to choose from, each above 0 and up to 1.
        exam: What the verdict is about.
        device: Where models run.
        processes: How many of them train.
    """

    root: Path
    spec: TrainSpec
    merge: Sequence[float]
    exam: Exam
    device: str
    processes: int = 1

    def check(self) -> Manifest:
        """Return the live manifest, which names a model.

        Raises:
            IndexFormatError: If it names none.
            SettingsError: If the index is a lake, whose model is that of all its shards.
        """
        if (lake := address_of(self.root)) is not None:
            raise SettingsError(
                "tuning.model_of_a_lake",
                "{lake} is a lake, and its embedding model is fixed: all shards are encoded with it",
                expected="an index folder, or --what queries or reranker",
                do="Tune the model on an index of part of the documents, or with `quarry train`; make a second lake with "
                "`quarry lake init NEW --model TUNED`, fill it, and compare them with `quarry evaluate` and `quarry compare`",
                lake=lake,
            )
        live = Manifest.read(Generations(self.root).live())
        model_of(self.root, live)
        return live

    def open_live(self) -> Contender:
        """Open the live generation with its model."""
        opened = Index.open(self.root)
        facts = model_of(self.root, opened.manifest)
        embedder = recorded_embedder(self.root, facts, usable_device(self.device)[0])
        searcher = Searcher.open(self.root, embedder=embedder, generation=opened.generation)
        return Contender(f"live-{opened.generation}", searcher, embedder, recorded_source(self.root, facts).folder)

    def announced(self, live: Contender, run: str) -> Message:
        """Name the model and the generation."""
        return Message.of(
            "tuning.begins",
            "run {run}: tuning {model} of generation {generation}",
            run=run,
            model=live.embedder.spec.model,
            generation=live.index.generation,
        )

    def train(self, live: Contender, data: TuningData, run: TuningRun, watch: TuningObserver) -> Fitted:
        """Fine-tune, and merge with the base by the dev queries."""
        from quarry.training.fit.embedder import finetune
        from quarry.training.merging.share import keep_share

        self._tell_time(live, data, watch)
        watch.stage(training_begins(len(data.train)))
        if len({row.prompt for row in data.train}) > 1:
            watch.stage(
                Message.of(
                    "tuning.several_instructions",
                    "the rows have several instructions; questions will be asked with that of the index, {query_format}",
                    query_format=repr(live.embedder.spec.query_format),
                )
            )
        # the query format that answers: an index may have been built with its own instruction or examples
        spec = self.spec.model_copy(update={"query_format": live.embedder.spec.query_format})
        if self.processes > 1:
            job = Job(live.model, spec, run.finetune, self.device)
            trained = finetune_in_processes(job, data.train, data.dev, self.processes)
        else:
            trained = finetune(
                live.model, data.train, spec, run.finetune, dev=data.dev, observer=watch.training, device=self.device
            )
        watch.stage(Message.of("tuning.merging", "choosing how much of the tuned weights to keep"))
        measured = {0.0: trained.dev_before, 1.0: trained.dev_after}
        chosen = keep_share(
            live.model,
            trained.folder,
            data.dev,
            spec,
            run.folder / "merged",
            shares=self.merge,
            known={share: score for share, score in measured.items() if score is not None},
            device=self.device,
        )
        return Fitted(chosen.folder, chosen.share, chosen.base_score, chosen.score)

    def _tell_time(self, live: Contender, data: TuningData, watch: TuningObserver) -> None:
        own = [data.held_out] * 2 if data.held_out.corpus_path is not None else []
        work = work_of(live.index, data.train, data.dev, [load_dataset(self.exam.general), *own], self.spec)
        pace = seconds_per_character(live.embedder, [row.pos[0] for row in data.train[:PROBED]])
        watch.stage(estimate(work, pace, len(self.merge)))

    def contender(self, model: Path, watch: TuningObserver) -> Contender:
        """Encode the index's passages with the tuned model, in a generation that nobody is answered from.

        Raises:
            ModelError: If the folder is not a model.
        """
        source = resolve_model(str(model))
        if source is None:
            raise ModelError(
                "tuning.no_tuned_model",
                "{folder} is not a model",
                expected="the tuned one",
                do="Tune again under another name",
                folder=model,
            )
        device, _ = usable_device(self.device)
        live = self.check()
        embedder = load_embedder(
            source.folder,
            model_id=source.model,
            revision=source.revision,
            device=device,
            dim=model_of(self.root, live).to_spec().dim,
        )
        watch.stage(Message.of("tuning.encoding", "encoding the passages with the tuned model, beside the live ones"))
        settings = BuildOptions(model_folder=f"{MODELS}/{model.name}")
        report = in_turn(lambda: build_candidate(self.root, embedder, settings, watch), watch)
        searcher = Searcher.open(self.root, embedder=embedder, generation=report.generation)
        return Contender(f"tuned-{report.generation}", searcher, embedder, model)

    def judge(
        self, live: Contender, tuned: Contender, held_out: Dataset, run: TuningRun, watch: TuningObserver
    ) -> Judged:
        """Ask both generations the held-out queries by the exam's route; measure both models on the general set."""
        watch.stage(
            Message.of(
                "tuning.asking_both",
                "asking {count} held-out queries of both, by {route}",
                count=len(held_out.queries),
                route=self.exam.route,
            )
        )
        held = held_out_trial(live, tuned, held_out, self.exam.route, run.trials)
        watch.stage(Message.of("tuning.general_both", "measuring both on the general set"))
        watch.phase("encoding", None)
        general = general_trial(live, tuned, self.exam.general, run.general, watch.advance)
        band = calibration(tuned.index, tuned.embedder, held_out)
        return Judged(judge(held, general, self.exam.rule, self.exam.share), band=band)

    def promote(self, live: Contender, tuned: Contender, judged: Judged, run: str) -> str:
        """Make the candidate generation live, with its lineage."""
        numbers = {name: float(value) for name, value in asdict(judged.band).items()} if judged.band else {}
        forced = not judged.verdict.promote
        verdict = judged.verdict.message()
        lineage = lineage_of(live.index.manifest, run, verdict, forced=forced, calibration=numbers)
        promote(self.root, tuned.index.generation, lineage)
        return tuned.index.generation


def model_of(index: Path, manifest: Manifest) -> EmbedderFacts:
    """Return the model of an index.

    Raises:
        IndexFormatError: If it has none.
    """
    if manifest.embedder is None:
        raise IndexFormatError(
            "tuning.no_vectors",
            "{index} has no vectors, so there is no model to tune",
            expected="an index with one",
            do="Build it with `quarry index PATH --into {index} --model auto --rebuild`",
            index=index,
        )
    return manifest.embedder


def training_begins(examples: int) -> Message:
    """Return the notice that training begins."""
    return Message.of("tuning.training", "training on {count:example|examples}", count=examples)
