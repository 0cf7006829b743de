"""What a build will do: the settings asked for, with everything inherited from the live generation and decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from quarry.indexer.build.checks import check_model, check_server, need_token_states, uri_of
from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.build.cutting.cutter import Cutter
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.embedder import Embedder, TokenEmbedder, heads_of
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.choice import USUAL
from quarry.indexer.messages import Message
from quarry.indexer.models.profiles import embedder_profile
from quarry.indexer.models.token_spans import ScriptTokens
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.storage.facts import Lineage, ReadingFacts, RerankerFacts
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.stores import SERVED_KINDS, store_class

MOST_PASSAGES_WITH_TOKENS = 20_000  # 0.5 GB of token states
DROPPED_SHIFT = "build.query_shift_dropped"  # the code of the note


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build. None inherits from the live generation, or takes the default for a new index.

    Attributes:
        chunking: Passage limits in tokens of the model (of `script/1` for a lexical-only index).
        store: `auto`, `exact`, `faiss`, `lance`, `milvus` or `qdrant`.
        store_uri: The address of the server of `milvus` or `qdrant`.
        analyzer: `jieba`, `rjieba`, `bigram`, or a language's two letters. A new index takes the one that suits its passages.
        read: Limits and charset override for the readers.
        rebuild: Allows another model than the live generation's, and encodes everything again with it.
        allow_empty: Allows a root that has lost all of its files.
        keep: How many generations stay after the build, the live one included.
        model_folder: Where the embedder was loaded from, recorded as a hint for later searches.
        notes: What the manifest should say of the model, such as that the offline bundle stands in for a BGE model.
        rerank_vectors: Whether to keep token states for late interaction, 25 KB a passage of 200 tokens. None keeps what the live
            generation has; a new index has them when its model is known to gain by them and it has at most
            `MOST_PASSAGES_WITH_TOKENS` passages.
        leave: Files below the paths that are not opened this time, by printable absolute path, with what the report says of
            them; documents read from them earlier stay.
        vectors: A folder of shards (`quarry encode`) whose vectors are taken instead of encoding. Passage length and way of reading
            of a new index are then those of the shards.
        compact: Whether all segments are merged into one, although nothing else may have changed.
        go_live: Whether the new generation goes live; otherwise it is kept beside the live one, to be judged.
    """

    chunking: ChunkSpec | None = None
    store: str | None = None
    store_uri: str | None = None
    analyzer: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    rebuild: bool = False
    allow_empty: bool = False
    keep: int = 3
    model_folder: str = ""
    notes: tuple[Message, ...] = ()
    rerank_vectors: bool | None = None
    leave: Mapping[str, Skipped] = field(default_factory=dict)
    vectors: Path | None = None
    compact: bool = False
    go_live: bool = True

    @classmethod
    def of_live(cls, index: Path) -> Self:
        """Return the options that update an index as it is: with its model's folder and the notes on it.

        Raises:
            IndexFormatError: If there is no live generation, or it is damaged.
        """
        live = Manifest.read(Generations(index).live())
        return cls(model_folder=live.embedder.folder if live.embedder else "", notes=live.notes)


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings with everything inherited and decided.

    Attributes:
        index: The index folder.
        live: The live generation's manifest, None for a new index.
        embedder: The model, None for a lexical-only index.
        cutter: Cuts documents into passages and terms.
        analyzer: Its analyzer, by the name that settings use.
        languages: Share of the passages by language, where the analyzer was chosen by them.
        store: The kind of vector store.
        settings: As asked for.
        fresh_cut: Whether stored documents must be cut again.
        shards: Where vectors are taken from.
        live_is_sound: Otherwise a new generation is made even when nothing else has changed.
    """

    index: Path
    live: Manifest | None
    embedder: Embedder | None
    cutter: Cutter
    analyzer: str
    store: str
    settings: BuildOptions
    fresh_cut: bool
    live_is_sound: bool = True
    shards: ShardFolder | None = None
    languages: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, index: Path, live: Manifest | None, embedder: Embedder | None, settings: BuildOptions) -> "Plan":
        """Decide everything.

        Raises:
            IndexMismatchError: If the live generation has another model.
            ModelError: If token states are asked for and the embedder gives none.
            ValueError: If the store or the analyzer is unknown.
            SettingsError: If the store lacks the address of its server.
        """
        check_model(index, live, embedder, rebuild=settings.rebuild)
        if settings.rerank_vectors:
            need_token_states(embedder)
        shards = ShardFolder.open(settings.vectors) if settings.vectors is not None and embedder is not None else None
        before = live or (shards.settings if shards else None)
        spec = settings.chunking or (
            ChunkSpec(before.chunking.max_tokens, before.chunking.overlap_tokens) if before else ChunkSpec()
        )
        chosen = settings.analyzer or (live.lexical.analyzer if live else USUAL)
        languages = live.lexical.languages if live and settings.analyzer is None else {}
        settings = replace(settings, read=_inherited(settings.read, before.reading if before else ReadingFacts()))
        cutter = Cutter(spec, embedder.tokens if embedder else ScriptTokens(), analyzer(chosen), settings.read)
        store = settings.store or (live.store.kind if live and live.store else "auto")
        store_class(store)  # an unknown kind is refused before any work
        check_server(store, settings.store_uri, live)
        fresh = live is not None and (live.chunking != cutter.chunking or live.lexical.identity != cutter.analyzer.name)
        if shards is not None and embedder is not None:
            shards.check(embedder.spec, cutter.chunking)
        return cls(index, live, embedder, cutter, chosen, store, settings, fresh, shards=shards, languages=languages)

    def same_as_live(self) -> bool:
        """Whether the new generation could differ from the live one in its documents only."""
        if self.live is None or self.fresh_cut or not self.live_is_sound or self.is_compacting():
            return False
        if self.embedder is not None and (self.live.probes is None or self.live.probes.names is None):
            return False  # built before there were probes, or vectors of titles: add them
        facts = self.live.embedder
        if self.embedder is not None and facts and facts.to_spec().query_format != self.embedder.spec.query_format:
            return False  # another instruction, or other examples, which the manifest records
        if self.live.reading != self.reading or self.settings.rerank_vectors not in (None, self.live.token_states):
            return False
        return self.same_parts_as_live()

    def same_parts_as_live(self) -> bool:
        """Whether model, cutting, terms and kind of store are those of the live generation."""
        if self.live is None or self.fresh_cut:
            return False
        live_print = self.live.embedder.fingerprint if self.live.embedder else None
        mine = self.embedder.spec.fingerprint if self.embedder else None
        live_store = self.live.store.kind if self.live.store else None
        return live_print == mine and live_store == (self.store if self.embedder else None)

    def is_compacting(self) -> bool:
        """Whether segments are merged that need not be."""
        if not self.settings.compact or self.live is None:
            return False
        return [segment.passages for segment in self.live.segments] != [self.live.chunks]

    def keeps_segments(self) -> bool:
        """Whether what the live generation holds can stay as it is, with the same model, terms and kind of store, all sound."""
        asked = self.settings.rebuild or self.settings.compact
        return bool(self.live and self.live.segments and self.live_is_sound and self.same_parts_as_live() and not asked)

    def shares_texts(self) -> bool:
        """Whether this is a candidate with the live generation's texts and terms, all sound, and other vectors."""
        if self.live is None or self.settings.go_live or self.embedder is None or self.shards is not None:
            return False
        return bool(self.live.segments) and self.live_is_sound and not self.fresh_cut and not self.settings.compact

    @property
    def reading(self) -> ReadingFacts:
        """What the manifest records of how files are read."""
        read = self.settings.read
        return ReadingFacts(ocr=bool(read.ocr), keep_repeated=bool(read.keep_repeated))

    def with_tokens(self, passages: int) -> bool:
        """Whether token states are kept for an index of so many passages."""
        asked, embedder = self.settings.rerank_vectors, self.embedder
        if not isinstance(embedder, TokenEmbedder):
            return False
        if asked is not None:
            return asked
        if self.live is not None and self.live.embedder is not None:
            return self.live.token_states
        if self.shards is not None:  # a new index takes what was encoded
            return self.shards.settings.token_states
        profile = embedder_profile(embedder.spec.model)
        gains = bool(heads_of(embedder)) or (profile is not None and profile.late_interaction)
        return gains and passages <= MOST_PASSAGES_WITH_TOKENS

    @property
    def uri(self) -> str:
        """The address of the vector server; empty for a store that needs none."""
        if self.store not in SERVED_KINDS:
            return ""
        return self.settings.store_uri or uri_of(self.live)

    @property
    def _kept_model(self) -> Manifest | None:
        """The live generation's manifest, when the model stays the same; what was tuned belongs to one model."""
        if self.live is None or self.live.embedder is None or self.embedder is None:
            return None
        return self.live if self.live.embedder.fingerprint == self.embedder.spec.fingerprint else None

    def lineage(self) -> Lineage | None:
        """Return how the live model was tuned, when the model stays the same."""
        return self._kept_model.lineage if self._kept_model else None

    def second_stage(self) -> RerankerFacts | None:
        """Return the tuned second stage, which belongs to the live model's token states, when the model stays the same."""
        return self._kept_model.second_stage if self._kept_model else None

    def query_shift(self) -> RerankerFacts | None:
        """Return what was learned about the live model's questions, when the model stays the same."""
        return self._kept_model.query_shift if self._kept_model else None

    def dropped(self) -> tuple[Message, ...]:
        """Return what the new generation cannot keep of the live one because its model is another."""
        if self.live is None or self.live.query_shift is None or self.query_shift() is not None:
            return ()
        return (
            Message.of(
                "build.query_shift_dropped",
                "what judgements taught about questions was learned with another embedding model and is not used",
                do="Learn it again with `quarry tune INDEX --what queries`",
            ),
        )


def _inherited(read: ReadOptions, before: ReadingFacts) -> ReadOptions:
    """Return the options with what was not said as it was before."""
    ocr = before.ocr if read.ocr is None else read.ocr
    keep = before.keep_repeated if read.keep_repeated is None else read.keep_repeated
    return replace(read, ocr=ocr, keep_repeated=keep)
