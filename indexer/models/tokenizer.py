"""The tokenizer as it was released: `tokenizer.json` itself, not what transformers rebuilds from parts of it.

transformers 5 has one class per kind of model, which takes the vocabulary and template from the file and rebuilds the
normalizer and the pre-tokenizer. Whatever else the file says (another normalization, how spaces are cut, lower case) is lost,
and with it the ids that the model was trained on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from quarry.indexer.errors import ModelError

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

    def copy(self) -> "Tokenizer":
        """Return a copy of the backend, which the caller may set to pad or truncate."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.backend_tokenizer.to_str())

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text, special tokens left out."""
        found: list[int] = self.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return found


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
        return Tokenizer.from_file(str(path))
    except Exception as err:  # the library raises nothing narrower
        raise ModelError(
            "models.unreadable_tokenizer",
            "{path} is not a readable tokenizer ({error})",
            do="Copy or download the model again",
            path=path,
            error=str(err),
        ) from err


def apply_settings(stored: "Tokenizer", settings: dict[str, Any], known: Any) -> None:
    """Change a stored tokenizer where `tokenizer_config.json` explicitly says otherwise, as transformers 4 did.

    Args:
        stored: Changed in place.
        settings: The content of `tokenizer_config.json`.
        known: The transformers tokenizer of the folder.
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
