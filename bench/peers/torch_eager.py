"""PyTorch, operator by operator, on the graph of the same file (`edgerecon.engines.pytorch.engine`)."""

from __future__ import annotations

from peer import Run, serve

from edgerecon.engines import open_engine


def open_model(path: str, threads: int) -> Run:
    engine = open_engine(path, "pytorch", threads=threads)
    return lambda frame: engine.run(frame[0, 0])


if __name__ == "__main__":
    serve("pytorch eager", open_model)
