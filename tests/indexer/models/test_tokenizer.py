"""The model reads the ids of `tokenizer.json`, for tokenizers of the kinds that the known models are released with."""

import json

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from quarry.indexer.errors import ModelError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.loading import load_tokenizer
from tests.indexer.models.tiny_models import ARCHITECTURES

TEXTS = [
    "How do I renew a book?",
    "怎么续借图书？",
    "renew 续借  two spaces　全角 ＡＢＣ１２３",
    "emoji 😀👩‍👩‍👧 🇨🇳 end",
    "rare 𠮷 龘 ﷺ ﬁ Å é ① ½ ㍿",
    "<instruct>Given a question\n<query>怎么续借",
    "Ünïcode CAFÉ naïve",
    "\ttab\n\nline 12345 3.14",
    "",
    " leading and trailing ",
]
CORPUS = [*TEXTS, "Given a web search query, retrieve relevant passages", "图书馆周一闭馆"] * 20
BERT = {name: f"[{name[:-6].upper()}]" for name in ("unk_token", "pad_token", "cls_token", "sep_token", "mask_token")}
XLMR = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "sep_token": "</s>",
}
QWEN = {
    "tokenizer_class": "Qwen2Tokenizer",
    "add_prefix_space": False,
    "bos_token": None,
    "unk_token": None,
    "pad_token": "<|endoftext|>",
}
GEMMA = {
    "tokenizer_class": "GemmaTokenizer",
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
}
LLAMA = {
    "tokenizer_class": "LlamaTokenizer",
    "legacy": True,
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<unk>",
}


def word_piece(*, lower):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    tokenizer.post_processor = template("[CLS]", "[SEP]")(tokenizer)
    return tokenizer


def unigram(normalizer, pre_tokenizer):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=250, special_tokens=special, unk_token="<unk>")
    )
    tokenizer.post_processor = template("<s>", "</s>")(tokenizer)
    return tokenizer


def byte_level(end):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    words = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<|endoftext|>", "<|im_end|>")])
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), *([template("", "<|endoftext|>")(tokenizer)] if end else [])]
    )
    return tokenizer


def byte_fallback(kind, special, post):
    spaces = normalizers.Replace(" ", "▁")
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = (
        spaces if kind == "gemma" else normalizers.Sequence([normalizers.Prepend("▁"), spaces])  # as Llama's, legacy
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # for the training only
    names = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=500, special_tokens=names))
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["content"].startswith("<0x")]
    split = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    content["pre_tokenizer"] = split if kind == "gemma" else None
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in ("<instruct>", "<query>")])
    tokenizer.post_processor = post(tokenizer)
    return tokenizer


def template(first, last):
    def build(tokenizer):
        def around(name):
            return " ".join(token for token in (first, name, last) if token)

        special = [(token, tokenizer.token_to_id(token)) for token in (first, last) if token]
        return processors.TemplateProcessing(around("$A"), f"{around('$A')} {around('$B')}", special)

    return build


def gemma(*post):
    return byte_fallback("gemma", ["<pad>", "<eos>", "<bos>", "<unk>"], template(*post))


def llama(*post):
    return byte_fallback("llama", ["<unk>", "<s>", "</s>"], template(*post))


NFKC = normalizers.NFKC()
ONE_SPACE = normalizers.Sequence([NFKC, normalizers.Replace(Regex(" {2,}"), " ")])
WORDS = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
RELEASED = {
    "bert": ("bert", lambda: word_piece(lower=True), {**BERT, "tokenizer_class": "BertTokenizer", "do_lower_case": True}),
    "bert, cased": ("bert", lambda: word_piece(lower=False), {**BERT, "tokenizer_class": "BertTokenizer"}),
    "xlm-roberta": ("xlm-roberta", lambda: unigram(NFKC, WORDS), {**XLMR, "tokenizer_class": "XLMRobertaTokenizer"}),
    "xlm-roberta, converted anew": (
        "xlm-roberta", lambda: unigram(ONE_SPACE, pre_tokenizers.Metaspace()), {**XLMR, "tokenizer_class": "XLMRobertaTokenizer"},
    ),
    "qwen2": ("qwen2", lambda: byte_level(end=False), {**QWEN, "eos_token": "<|endoftext|>"}),
    "qwen3": ("qwen3", lambda: byte_level(end=True), {**QWEN, "eos_token": "<|im_end|>", "add_bos_token": False}),
    "gemma2": ("gemma2", lambda: gemma("<bos>", "<eos>"), {**GEMMA, "add_bos_token": True, "add_eos_token": True}),
    "mistral": ("mistral", lambda: llama("<s>", "</s>"), {**LLAMA, "add_bos_token": True, "add_eos_token": True}),
}  # fmt: skip  # a table


def save(folder, tokenizer, settings):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    return folder


@pytest.mark.parametrize("kind", RELEASED)
def test_the_model_reads_the_ids_of_the_stored_tokenizer(tmp_path, monkeypatch, kind):
    architecture, make, settings = RELEASED[kind]
    tokenizer = make()
    model = ARCHITECTURES[architecture]()
    model.resize_token_embeddings(tokenizer.get_vocab_size())
    model.save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text()
    save(tmp_path, tokenizer, settings)
    (tmp_path / "config.json").write_text(config)
    embedder = load_embedder(tmp_path, model_id="BAAI/bge-m3", device="cpu")  # bge-m3 adds nothing to its queries
    seen = []
    replica = embedder._replicas[0]
    real = replica.forward_with_states
    monkeypatch.setattr(replica, "forward_with_states", lambda rows, *rest: seen.append(rows[0]) or real(rows, *rest))
    stored = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in TEXTS:
        embedder.embed_queries([text])
        assert seen[-1] == (stored.encode(text).ids or [embedder._pad]), text
        assert [text[a:b] for a, b in embedder.tokens.spans(text)] == [
            text[a:b] for a, b in stored.encode(text, add_special_tokens=False).offsets
        ]


def test_transformers_alone_reads_other_ids(tmp_path):
    """The reason for all this; when it fails, transformers has become faithful and the module can go."""
    _, make, settings = RELEASED["xlm-roberta"]
    folder = save(tmp_path, make(), settings)
    stored = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rebuilt = AutoTokenizer.from_pretrained(folder)
    assert [text for text in TEXTS if rebuilt(text)["input_ids"] != stored.encode(text).ids]


@pytest.mark.parametrize(
    ("make", "settings", "before", "after"),
    [
        (lambda: gemma("<bos>", ""), {**GEMMA, "add_bos_token": True, "add_eos_token": True}, ["<bos>"], ["<eos>"]),
        (lambda: llama("<s>", ""), {**LLAMA, "add_eos_token": True}, ["<s>"], ["</s>"]),
        (lambda: llama("<s>", ""), {**LLAMA, "add_bos_token": False}, [], []),
        (lambda: llama("", "</s>"), LLAMA, [], ["</s>"]),
        (
            lambda: byte_level(end=True),
            {**QWEN, "eos_token": "<|im_end|>", "add_bos_token": False},
            [],
            ["<|endoftext|>"],
        ),
    ],
    ids=["gemma, both", "llama, start by default", "llama, neither", "llama, nothing said", "qwen, flags not read"],
)
def test_start_and_end_tokens_are_those_that_transformers_4_added(tmp_path, make, settings, before, after):
    """E5-mistral's `tokenizer.json` adds no end token and its `tokenizer_config.json` asks for one (mteb pull request 5237)."""
    tokenizer = load_tokenizer(save(tmp_path, make(), settings), {})
    inner = tokenizer.backend_tokenizer.encode("renew a book", add_special_tokens=False).tokens
    assert tokenizer.backend_tokenizer.encode("renew a book").tokens == [*before, *inner, *after]
    pair = tokenizer.backend_tokenizer.encode("renew a book", "renew a book")
    assert pair.tokens == [*before, *inner, *after] * 2
    assert sum(pair.type_ids) in (0, len(pair.ids) // 2)


@pytest.mark.parametrize(
    ("stored", "asked", "expected"), [(True, False, "How"), (False, True, "how"), (False, None, "How")]
)
def test_lower_case_is_as_the_folder_expressly_says(tmp_path, stored, asked, expected):
    settings = {**BERT, "tokenizer_class": "BertTokenizer"} | ({} if asked is None else {"do_lower_case": asked})
    tokenizer = load_tokenizer(save(tmp_path, word_piece(lower=stored), settings), {}).backend_tokenizer
    assert tokenizer.normalizer.normalize_str("How") == expected


def test_a_folder_without_tokenizer_json_uses_what_transformers_makes_of_its_vocabulary(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "how", "续", "借"]))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    tokenizer = load_tokenizer(tmp_path, {})
    assert tokenizer.backend_tokenizer.encode("How 续借").ids == [2, 5, 6, 7, 3]
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id) == (0, 1, None)


@pytest.mark.parametrize("content", ["", '{"version": "1.0"', '{"a": 1}', "[]"])
def test_a_damaged_tokenizer_file_is_named(tmp_path, content):
    folder = save(tmp_path, word_piece(lower=True), BERT)
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json is not a readable tokenizer .*Copy or download"):
        load_tokenizer(folder, {})


def test_a_copy_can_be_changed_without_changing_the_tokenizer(tmp_path):
    tokenizer = load_tokenizer(save(tmp_path, word_piece(lower=True), BERT), {})
    copy = tokenizer.copy()
    copy.enable_truncation(max_length=3)
    assert len(copy.encode("renew a book").ids) == 3
    assert len(tokenizer.backend_tokenizer.encode("renew a book").ids) > 3
    assert tokenizer.ids("renew") == tokenizer.backend_tokenizer.encode("renew").ids[1:-1]
