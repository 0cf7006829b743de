"""What a language model wrote for a run, kept as it comes: a run that goes on does not pay for an answer twice."""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path


class KeptAnswers:
    """Answers by model and prompt in a file of JSON lines, to which is only appended."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a line that a killed process left torn is passed over."""
        self._path = path
        self._answers: dict[str, str] = {}
        if not path.is_file():
            return
        for line in path.read_bytes().split(b"\n"):
            try:
                entry = json.loads(line)
                self._answers[str(entry["prompt"])] = str(entry["answer"])
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, model: str, prompt: str) -> str | None:
        """Return the answer to a prompt, None when there is none."""
        return self._answers.get(_key(model, prompt))

    def put(self, model: str, answers: Iterable[tuple[str, str]]) -> None:
        """Keep (prompt, answer) pairs; empty answers and those that are kept already are left out."""
        new = {_key(model, prompt): answer for prompt, answer in answers if answer}
        new = {key: answer for key, answer in new.items() if key not in self._answers}
        if not new:
            return
        self._answers.update(new)
        lines = "".join(json.dumps({"prompt": key, "answer": answer}) + "\n" for key, answer in new.items())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as handle:
            handle.write(b"\n" + lines.encode())  # a torn line before this one ends here


def _key(model: str, prompt: str) -> str:
    return sha256(f"{model}\0{prompt}".encode("utf-8", "replace")).hexdigest()
