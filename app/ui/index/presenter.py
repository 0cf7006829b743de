"""What the page Index and models shows: generations, disk, checks, models, as rows of plain text. It draws nothing."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.app.doctor import CheckResult
from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.shown_text import Say, told
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.models.listing import ModelRow
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest

_CHECKS = {
    "manifest": "清单",
    "files": "文件",
    "open": "打开",
    "texts": "文本库",
    "counts": "数量",
    "agreement": "一致性",
    "unindexed": "未入索引",
    "languages": "语言",
    "left out": "未读取的部分",
    "analyzer": "分词器",
    "model": "模型",
    "model choice": "模型选择",
    "vectors": "向量",
    "reranker": "重排模型",
    "disk": "磁盘",
    "leftovers": "残留",
}
_LANGUAGES = {"zh": ("Chinese", "中文"), "en": ("English", "英文"), "multilingual": ("multilingual", "多语言")}
_PARTS = (
    ("generations", "Generations: what each one holds", "各版本：各自包含的内容"),
    ("segments", "Segments: texts, vectors and terms, shared by generations", "分段：文本、向量与词项，供各版本共用"),
    ("embeddings", "Token states, and vectors of an unfinished build", "词元状态，以及未完成构建的向量"),
    ("evaluations", "Saved evaluations", "已保存的评测"),
    ("feedback", "Feedback", "反馈"),
)


@dataclass(frozen=True, slots=True)
class GenerationView:
    """One generation on disk.

    Attributes:
        name: The folder's name.
        live: Whether searches use it.
        manifest: The manifest; None when it cannot be read.
        fault: Why the manifest cannot be read; None when it can.
        size: Bytes on disk.
    """

    name: str
    live: bool
    manifest: Manifest | None
    fault: Message | None
    size: int

    @property
    def model(self) -> str:
        """Id of its embedder; empty for BM25 alone."""
        facts = self.manifest.embedder if self.manifest else None
        return facts.to_spec().model if facts else ""


def generation_views(index: Path) -> tuple[GenerationView, ...]:
    """Return the finished generations, newest first; an unreadable manifest is reported in `fault`.

    Raises:
        IndexFormatError: If the folder is not an index, or its pointer is damaged.
    """
    generations = Generations(index)
    live = generations.pointer().generation
    names = sorted({*generations.finished(), live}, reverse=True)
    return tuple(_view(generations.folder / name, live=name == live) for name in names)


def _view(folder: Path, *, live: bool) -> GenerationView:
    size = folder_bytes(folder)
    try:
        manifest = Manifest.read(folder)
        return GenerationView(folder.name, live, manifest, None, manifest.bytes)
    except IndexFormatError as err:
        return GenerationView(folder.name, live, None, err.message, size)


def generation_rows(views: Sequence[GenerationView], say: Say, clock: Clock) -> list[dict[str, str]]:
    """Return the table of generations."""
    return [
        {
            say("Generation", "版本"): view.name,
            say("State", "状态"): _state(view, say),
            say("Documents", "文档"): f"{view.manifest.documents:,}" if view.manifest else "-",
            say("Passages", "段落"): f"{view.manifest.chunks:,}" if view.manifest else "-",
            say("Model", "模型"): _model(view, say),
            say("Made", "创建时间"): clock.moment(view.manifest.created) if view.manifest else "-",
            say("Reason", "原因"): _reason(view, say),
            say("Size", "大小"): megabytes(view.size),
        }
        for view in views
    ]


def _reason(view: GenerationView, say: Say) -> str:
    if view.manifest is not None:
        return told(view.manifest.reason, say)
    return told(view.fault, say) if view.fault else ""


def _state(view: GenerationView, say: Say) -> str:
    state = say("live", "使用中") if view.live else say("kept", "保留")
    return state if view.manifest else say(f"{state}, damaged", f"{state}，已损坏")


def _model(view: GenerationView, say: Say) -> str:
    if view.manifest is None:
        return "-"
    return view.model or say("none: BM25 only", "无：仅 BM25")


def notes(manifest: Manifest, say: Say) -> tuple[str, ...]:
    """Return what the user should know about a generation's model, as noted when it was built."""
    spec = manifest.embedder.to_spec() if manifest.embedder else None
    if spec is None or spec.origin != "offline bundle":
        return tuple(told(note, say) for note in manifest.notes)
    english = f"Model: {spec.model} from the offline bundle, because no BGE model was on this machine when the index was built."
    return (say(english, f"模型：离线包中的 {spec.model}，因为建立索引时本机没有 BGE 模型。"),)


def switch_words(live: GenerationView, target: GenerationView, say: Say) -> list[str]:
    """Return what a switch would change, one sentence each."""
    words = [say(f"From generation {live.name} to {target.name}.", f"从版本 {live.name} 切换到版本 {target.name}。")]
    now, then = live.manifest, target.manifest
    if now is not None and then is not None:
        words.append(
            say(
                f"Documents {now.documents:,} -> {then.documents:,}, passages {now.chunks:,} -> {then.chunks:,}.",
                f"文档 {now.documents:,} → {then.documents:,}，段落 {now.chunks:,} → {then.chunks:,}。",
            )
        )
        if live.model != target.model:
            names = _model(live, say), _model(target, say)
            words.append(say(f"Model {names[0]} -> {names[1]}.", f"模型 {names[0]} → {names[1]}。"))
    return words


def history_rows(index: Path, say: Say, clock: Clock) -> list[dict[str, str]]:
    """Return the switches of the live generation, newest first.

    Raises:
        IndexFormatError: If the pointer cannot be read.
    """
    return [
        {
            say("When", "时间"): clock.moment(step.at),
            say("Generation", "版本"): step.generation,
            say("Reason", "原因"): told(step.reason, say),
        }
        for step in reversed(Generations(index).pointer().history)
    ]


def disk_rows(index: Path, say: Say) -> list[dict[str, str]]:
    """Return the disk space of each part of the index, and the free space."""
    rows = []
    for name, english, chinese in _PARTS:
        files = sorted(index.glob(f"{name}.sqlite*")) if name == "feedback" else [index / name]
        size = sum(folder_bytes(file) for file in files)
        if size:
            rows.append({say("What", "内容"): say(english, chinese), say("Size", "大小"): megabytes(size)})
    free = shutil.disk_usage(index).free if index.exists() else 0
    return [*rows, {say("What", "内容"): say("Free on this disk", "磁盘剩余"), say("Size", "大小"): megabytes(free)}]


def check_rows(results: Sequence[CheckResult], say: Say) -> list[dict[str, str]]:
    """Return the doctor's checks, the worst first, otherwise in their order."""
    order = ("failure", "warning", "ok")
    marks = {"ok": say("✓ ok", "✓ 正常"), "warning": say("! warning", "! 注意"), "failure": say("✗ failed", "✗ 故障")}
    return [
        {
            say("Result", "结果"): marks[result.severity],
            say("Check", "检查"): say(result.name, _CHECKS.get(result.name, result.name)),
            say("Found", "结果说明"): told(result.message, say),
        }
        for result in sorted(results, key=lambda result: order.index(result.severity))
    ]


def remedies(results: Sequence[CheckResult]) -> tuple[str, ...]:
    """Return the commands that fix what was found, each once, those of failures first."""
    ordered = sorted(results, key=lambda result: result.severity != "failure")
    return tuple(dict.fromkeys(result.remedy for result in ordered if result.remedy))


def model_rows(models: Sequence[ModelRow], say: Say) -> list[dict[str, str]]:
    """Return the known models, installed ones first."""
    return [
        {
            say("Model", "模型"): row.model,
            say("Installed", "本机"): _presence(row, say),
            say("Kind", "类型"): _kind(row.kind, say),
            say("Languages", "语言"): say(*_LANGUAGES.get(row.languages, (row.languages, row.languages))),
            say("On disk", "占用"): f"{row.megabytes_on_disk:,} MB" if row.here and row.megabytes_on_disk else "-",
            say("Dimensions", "维数"): str(row.dim or "-"),
            say("Tokens", "最大词元"): f"{row.max_tokens:,}",
            say("Memory", "内存"): f"{row.memory_mb / 1000:.1f} GB",
            say("Note", "备注"): told(row.note, say) if row.note else "",
        }
        for row in sorted(models, key=lambda row: not row.here)
    ]


def _presence(row: ModelRow, say: Say) -> str:
    if not row.here:
        return say("no", "无")
    return "✓ " + (say("offline bundle", "离线包") if row.here == "offline bundle" else say("cache", "缓存"))


def _kind(kind: str, say: Say) -> str:
    name, _, detail = kind.partition(" ")
    return f"{say(name, {'embedder': '向量模型', 'reranker': '重排模型'}.get(name, name))} {detail}".strip()


def folder_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; what does not exist counts as 0."""
    try:
        if not path.is_dir():
            return path.stat().st_size
        return sum(folder_bytes(child) for child in path.iterdir())
    except FileNotFoundError:
        return 0


def megabytes(size: int) -> str:
    """Return a number of bytes with its unit: `12.3 MB`, `4.5 GB`."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size} B"
