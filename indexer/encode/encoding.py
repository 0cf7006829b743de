"""From a shard that waits to a shard that is complete: the forward passes."""

from zlib import error as ZlibError

from quarry.indexer.embedder import Embedder, Progress, TokenEmbedder
from quarry.indexer.encode.cut import Kind, forget_waiting, waiting
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.shards.shard import Shard, ShardError
from quarry.indexer.tokens.encoding import encode_with_states
from quarry.indexer.tokens.fitting import projection_for
from quarry.indexer.tokens.projection import Projection


class ShardEncoder:
    """Encodes shards of one folder with one model."""

    def __init__(self, folder: ShardFolder, embedder: Embedder) -> None:
        """Take the folder and its model."""
        self._folder, self._embedder = folder, embedder
        self._projection: Projection | None = None

    def encode(self, name: str, kind: Kind, progress: Progress | None = None) -> int:
        """Encode a shard unless it is complete; return how many texts were encoded.

        Raises:
            ShardError: If its texts are damaged.
        """
        if self._folder.has(name):
            forget_waiting(self._folder, name)
            return 0
        try:
            found = dict(waiting(self._folder, name))
        except FileNotFoundError:
            if self._folder.has(name):  # another worker was faster
                return 0
            raise
        except (EOFError, ZlibError, OSError, ValueError) as err:
            raise ShardError(
                "shards.damaged_texts",
                "the waiting passages of shard {name} in {folder} are damaged ({error})",
                expected="JSON lines in gzip",
                do="Remove this file and run the `quarry encode` command again: its documents are read once more",
                name=name,
                folder=self._folder.passages,
                error=str(err),
            ) from err
        digests = sorted(found, key=lambda digest: (-len(found[digest]), digest))  # of like length, passes are fuller
        texts = [found[digest] for digest in digests]
        self._folder.write(name, self._shard(digests, texts, kind, progress))
        forget_waiting(self._folder, name)
        return len(texts)

    def _shard(self, digests: list[bytes], texts: list[str], kind: Kind, progress: Progress | None) -> Shard:
        embedder = self._embedder
        if kind == "titles" or not self._folder.settings.token_states or not isinstance(embedder, TokenEmbedder):
            return Shard(digests, embedder.embed_documents(texts, progress=progress))
        self._projection = self._projection or projection_for(embedder)
        made = encode_with_states(embedder, texts, self._projection, progress)
        return Shard(digests, made.vectors, made.states, made.terms)
