"""When an answer is refused: signals of support, the model on them, and the promise that it keeps."""
