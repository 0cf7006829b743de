"""The tokenizer as it was released: `tokenizer.json` itself, not what transformers rebuilds from parts of it.

transformers 5 has one class per kind of model, which takes the vocabulary and template from the file and rebuilds the
normalizer and the pre-tokenizer. Whatever else the file says (another normalization, how spaces are cut, lower case) is lost,
and with it the ids that the model was trained on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import read_json, small_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# For these, transformers 4, with which the models were trained, lets tokenizer_config.json decide on start and end tokens;
# transformers 5 leaves that to tokenizer.json. A model with last-token pooling gives other vectors without its end token.
_TEMPLATE_BY_FLAGS = ("LlamaTokenizer", "LlamaTokenizerFast", "GemmaTokenizer", "GemmaTokenizerFast")


@dataclass(frozen=True, slots=True)
class ModelTokenizer:
    """A model's tokenizer, without padding and truncation, and what transformers knows about it.

    Attributes:
        backend_tokenizer: The `tokenizers` object. Copy it before changing it.
        pad_token_id: None when there is no such token; likewise the other three.
        bos_token_id: Start of a text.
        eos_token_id: End of a text.
        unk_token_id: Stands for unknown text.
        model_max_length: In tokens; a huge number when the folder gives none.
        model_input_names: Such as `input_ids`, `token_type_ids`.
    """

    backend_tokenizer: "Tokenizer"
    pad_token_id: int | None
    bos_token_id: int | None
    eos_token_id: int | None
    unk_token_id: int | None
    model_max_length: int
    model_input_names: tuple[str, ...]

    @classmethod
    def of(cls, backend: "Tokenizer", known: Any) -> Self:
        """Take the special tokens and lengths from a transformers tokenizer, and their numbers from the backend."""

        def number(token: str | None) -> int | None:
            return None if token is None else backend.token_to_id(token)

        backend.no_padding()
        backend.no_truncation()
        return cls(
            backend,
            pad_token_id=number(known.pad_token),
            bos_token_id=number(known.bos_token),
            eos_token_id=number(known.eos_token),
            unk_token_id=number(known.unk_token),
            model_max_length=int(known.model_max_length),
            model_input_names=tuple(known.model_input_names),
        )

    @property
    def padding(self) -> int:
        """What to pad with: the padding token, else the end of a text, else token 0."""
        return self.pad_token_id if self.pad_token_id is not None else (self.eos_token_id or 0)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Padding, start, end and unknown token, as far as there are any."""
        named = (self.pad_token_id, self.bos_token_id, self.eos_token_id, self.unk_token_id)
        return tuple(number for number in named if number is not None)

    def copy(self) -> "Tokenizer":
        """Return a copy of the backend, which the caller may set to pad or truncate."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.backend_tokenizer.to_str())

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text, special tokens left out."""
        found: list[int] = self.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return found


class _Known(NamedTuple):
    """What the JSON files of a folder say about its tokenizer; transformers' tokenizers have the same attributes."""

    pad_token: str | None
    bos_token: str | None
    eos_token: str | None
    unk_token: str | None
    model_max_length: int
    model_input_names: tuple[str, ...]


_MOST_BYTES = 256 << 20  # that of Gemma, with 262,144 tokens, has 33 million
_NO_LIMIT = 1 << 62
_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
_PADDING = ("[PAD]", "<pad>")  # of BERT's and RoBERTa's tokenizer classes, for folders that do not name theirs


def slow_tokenizer(folder: Path) -> ModelError:
    """Return the error for a folder whose tokenizer is not a fast one."""
    return ModelError(
        "models.slow_tokenizer",
        "the tokenizer in {folder} has no tokenizer.json",
        expected="a fast tokenizer",
        do="Convert it first",
        folder=folder,
    )


def read_tokenizer(folder: Path, config: dict[str, Any]) -> ModelTokenizer:
    """Read the tokenizer of an encoder from `tokenizer.json` and the JSON files beside it, without transformers.

    Raises:
        ModelError: If there is none, a file is damaged, or its size does not fit the model.
    """
    stored = read_stored(folder)
    if stored is None:
        raise slow_tokenizer(folder)
    settings = read_json(folder / "tokenizer_config.json")
    named = {**read_json(folder / "special_tokens_map.json"), **settings}

    def token(name: str) -> str | None:
        found = named.get(name)
        found = found.get("content") if isinstance(found, dict) else found
        return found if isinstance(found, str) else None

    padding = token("pad_token") or next((name for name in _PADDING if stored.token_to_id(name) is not None), None)
    length = settings.get("model_max_length")
    known = _Known(
        padding,
        token("bos_token"),
        token("eos_token"),
        token("unk_token"),
        int(length) if isinstance(length, int | float) and 0 < length < _NO_LIMIT else _NO_LIMIT,
        tuple(settings.get("model_input_names") or _INPUTS),
    )
    apply_settings(stored, settings, known)
    check_size(folder, stored, config)
    return ModelTokenizer.of(stored, known)


def check_size(folder: Path, stored: "Tokenizer", config: dict[str, Any]) -> None:
    """Check that a tokenizer fits the model's vocabulary.

    Raises:
        ModelError: If it does not.
    """
    size, expected = stored.get_vocab_size(), int(config.get("vocab_size", 0))
    if expected and not 0.9 * expected <= size <= expected + 1024:
        raise ModelError(
            "models.tokenizer_size",
            "the tokenizer in {folder} has {size} tokens and the model {wanted}; they do not belong together",
            do="Copy or download the model again",
            folder=folder,
            size=size,
            wanted=expected,
        )


def read_stored(folder: Path) -> "Tokenizer | None":
    """Return the content of a folder's `tokenizer.json`, None when there is no such file.

    Raises:
        ModelError: If it cannot be read.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        stored = Tokenizer.from_str(small_text(path, _MOST_BYTES))
        stored.encode("A word, 一个词 é")  # some damage shows only now
    except BaseException as err:  # the library raises nothing narrower, and its panics are not even an `Exception`
        if isinstance(err, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        raise ModelError(
            "models.unreadable_tokenizer",
            "{path} is not a readable tokenizer ({error})",
            do="Copy or download the model again",
            path=path,
            error=str(err)[:500],
        ) from err
    return stored


def apply_settings(stored: "Tokenizer", settings: dict[str, Any], known: Any) -> None:
    """Change a stored tokenizer where `tokenizer_config.json` explicitly says otherwise, as transformers 4 did.

    Args:
        stored: Changed in place.
        settings: The content of `tokenizer_config.json`.
        known: The folder's special tokens, such as a transformers tokenizer.
    """
    from tokenizers.normalizers import BertNormalizer

    lower = settings.get("do_lower_case")
    if isinstance(stored.normalizer, BertNormalizer) and lower is not None:
        stored.normalizer.lowercase = bool(lower)
    if settings.get("tokenizer_class") in _TEMPLATE_BY_FLAGS and {"add_bos_token", "add_eos_token"} & settings.keys():
        first = known.bos_token if settings.get("add_bos_token", True) else None
        last = known.eos_token if settings.get("add_eos_token", False) else None
        _set_template(stored, first, last)


def _set_template(stored: "Tokenizer", first: str | None, last: str | None) -> None:
    from tokenizers.processors import TemplateProcessing

    def around(name: str, segment: int) -> list[str]:
        return [f"{token}:{segment}" for token in (first, name, last) if token]

    special = [(token, stored.token_to_id(token)) for token in (first, last) if token]
    stored.post_processor = TemplateProcessing(
        single=around("$A", 0), pair=[*around("$A", 0), *around("$B", 1)], special_tokens=special
    )
