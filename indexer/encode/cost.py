"""What an index of so many documents will take: passages, tokens, hours, bytes, memory. A model of few terms, for planning.

Seconds of building, bytes and memory follow measured curves (`quarry.indexer.encode.curves`). The speed of encoding is a device's
(`DEVICES`): floating point operations a second that it was seen to do, or, where nobody has measured it, the same share of its published
peak; a model of P parameters outside of its token embeddings takes 2 P operations a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from quarry.indexer.encode.curves import CURVES, DIM_MEASURED, WORDS_MEASURED, Curve
from quarry.indexer.errors import SettingsError
from quarry.indexer.models.profiles import EmbedderProfile
from quarry.indexer.stores.auto.store import EXACT_UP_TO

TOKENS_A_WORD = 1.33  # English prose by a vocabulary of 250,000 pieces; of a Chinese character about 0.6
SHARD = 2_048  # passages; each is written as a file of vectors and a marker
REQUESTS_A_SHARD = 10  # of a lake's `add`: 48 were counted for five shards; see docs/scale.md
PUBLISH_REQUESTS = 8_000  # mostly of the questions that it asks of what it has written, so of no size
TOKEN_STATE_BYTES = 125  # per token, of the second stage


@dataclass(frozen=True, slots=True)
class Device:
    """What encodes.

    Attributes:
        name: As `--gpu` takes it.
        operations: Floating point operations a second in encoding.
        measured: Whether that was seen; else it is derived from the published peak.
    """

    name: str
    operations: float
    measured: bool


# An H100 encoded 1,988 abstracts of about 250 tokens a second with a model of 21 million parameters outside of its embeddings, in float32
# (docs/results/gpu.md). The others have the same share of their published dense peak: TF32 for Ampere and later, FP32 before.
_H100 = 2.1e13
_H100_PEAK = 495.0
_PEAKS = {
    "h200": 495.0,
    "b200": 1_125.0,
    "a100": 156.0,
    "l40s": 183.0,
    "l4": 60.0,
    "a10": 62.5,
    "rtx4090": 82.6,
    "v100": 15.7,
    "t4": 8.1,
}
DEVICES: Mapping[str, Device] = {
    "h100": Device("h100", _H100, True),
    # ten passages of about 200 tokens a second on one core, the same model
    "cpu": Device("cpu", 10 * 200 * 2 * 21e6, True),
    **{name: Device(name, _H100 * peak / _H100_PEAK, False) for name, peak in _PEAKS.items()},
}


@dataclass(frozen=True, slots=True)
class Collection:
    """What is to be indexed.

    Attributes:
        documents: How many.
        words: Mean number of words of a document.
        passage_tokens: Longest passage, in tokens.
    """

    documents: float
    words: float = 400.0
    passage_tokens: int = 320

    @property
    def tokens(self) -> float:
        """Tokens of all documents."""
        return self.documents * self.words * TOKENS_A_WORD

    @property
    def passages(self) -> int:
        """Passages of all documents: full ones but for the last of each document, which is half full on average."""
        in_one = self.words * TOKENS_A_WORD / self.passage_tokens
        return round(self.documents * (max(1.0, in_one + 0.5) if in_one > 1 else 1.0))


@dataclass(frozen=True, slots=True)
class Cost:
    """What an index takes.

    Attributes:
        passages: How many it will have.
        tokens: That the model reads.
        encoding_hours: Of one device, or of all of them.
        build_hours: Of one core of the machine that builds: reading, cutting, terms, storing.
        index_bytes: Of the finished index by part: `texts`, `terms`, `vectors`, and `token_states` where they are kept.
        shard_bytes: Of the vectors that `quarry encode` hands over.
        requests: Of an object store, to add the shards to a lake and to publish it.
        reader_own_bytes: Memory of a process that searches, beside the program's own 300 MB and the model.
        reader_mapped_bytes: Pages of the index's files that are worth keeping in memory.
    """

    passages: int
    tokens: float
    encoding_hours: float
    build_hours: float
    index_bytes: Mapping[str, float]
    shard_bytes: float
    requests: int
    reader_own_bytes: float
    reader_mapped_bytes: float


_VOCABULARIES = {"xlm-roberta": 250_002, "mistral": 32_000, "gemma2": 256_000, "qwen2": 151_936, "qwen3": 151_936}
_BERT = {"zh": 21_128, "en": 30_522, "multilingual": 250_037}


def active_parameters(model: EmbedderProfile) -> float:
    """Return the millions of parameters that work on every token: those outside of the token embeddings.

    Example:
        >>> from quarry.indexer.models.profiles import embedder_profile
        >>> round(active_parameters(embedder_profile("BAAI/bge-m3")))
        313
    """
    vocabulary = _VOCABULARIES.get(model.architecture) or _BERT[model.languages]
    return model.million_parameters - vocabulary * model.dim / 1e6


def device_named(name: str) -> Device:
    """Return a device by its name.

    Raises:
        SettingsError: If it is not known.
    """
    if name not in DEVICES:
        raise SettingsError(
            "build.unknown_device",
            "no speed is known of the device {name}",
            expected="one of {known}",
            do="Take the nearest one",
            name=name,
            known=sorted(DEVICES),
        )
    return DEVICES[name]


def codes_bytes(passages: float, dim: int) -> float:
    """Return the bytes of the codes that the store `auto` keeps above a size: two bits for each number of a vector.

    Example:
        >>> codes_bytes(20_000, 384), codes_bytes(1_000_000, 384)
        (0.0, 96000000.0)
    """
    return passages * dim / 4 if passages * dim * 4 > EXACT_UP_TO else 0.0


def mapped_bytes(curve: Curve, passages: float, dim: int) -> float:
    """Return the bytes of files that a reader keeps in memory: all vectors, or above a size their codes.

    Args:
        curve: What was measured with all vectors of `DIM_MEASURED`.
        passages: How many there are.
        dim: Length of their vectors.
    """
    rest = curve.at(passages) - passages * DIM_MEASURED * 4
    return max(0.0, rest) + (codes_bytes(passages, dim) or passages * dim * 4)


def cost_of(
    collection: Collection,
    model: EmbedderProfile,
    device: Device,
    *,
    devices: int = 1,
    curves: Mapping[str, Curve] | None = None,
    token_states: bool = False,
) -> Cost:
    """Return what an index takes.

    Args:
        collection: What is indexed.
        model: Its vectors and its size decide.
        device: What encodes.
        devices: How many of them, which share the work.
        curves: The measured curves; those of this version by default.
        token_states: Whether token states are kept for the second stage.
    """
    known = curves or CURVES
    passages = collection.passages
    longer = collection.tokens / TOKENS_A_WORD / passages / WORDS_MEASURED  # than the passages that were measured
    wider = model.dim / DIM_MEASURED
    vectors = known["vectors_bytes"].at(passages) + known["names_bytes"].at(collection.documents)
    stored = {
        "texts": known["texts_bytes"].at(passages) * longer,
        "terms": known["postings_bytes"].at(passages) * longer + known["vocabulary_bytes"].at(passages * longer),
        "vectors": (vectors + known["probes_bytes"].at(passages)) * wider
        + codes_bytes(passages, model.dim)
        + codes_bytes(collection.documents, model.dim),
    }
    if token_states:
        stored["token_states"] = collection.tokens * TOKEN_STATE_BYTES
    operations = 2 * 1e6 * active_parameters(model) * collection.tokens
    return Cost(
        passages=passages,
        tokens=collection.tokens,
        encoding_hours=operations / device.operations / devices / 3600,
        build_hours=known["build_seconds"].at(passages) * longer / 3600,
        index_bytes=stored,
        shard_bytes=4.0 * model.dim * passages,
        requests=REQUESTS_A_SHARD * ceil(passages / SHARD) + PUBLISH_REQUESTS,
        reader_own_bytes=known["own_bytes"].at(passages),
        reader_mapped_bytes=mapped_bytes(known["mapped_bytes"], passages, model.dim) * max(longer, 1.0),
    )
