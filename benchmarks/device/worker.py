"""A peer's process: pinned to one core, told over a pipe how many calls to make.

    python -m device.worker prepare PEER FOLDER
    python -m device.worker run PEER FOLDER CORE TASK

TASK is `train`, or the number of examples of an inference. Requests and answers are
lines of JSON. It imports NumPy, the standard library, and what the peer imports.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import pathlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from device import peer as peers
from device.work import Work


def main() -> None:
    """Does what the command line says."""
    verb, key, folder = sys.argv[1:4]
    if verb == "prepare":
        peers.load(key).prepare(Work.open(pathlib.Path(folder)))
        return
    core, task = sys.argv[4:]
    # Before anything starts threads.
    os.sched_setaffinity(0, {int(core)})
    answer = _answers()
    call = _call(peers.load(key), Work.open(pathlib.Path(folder)), task)
    answer({"ready": True})
    for line in sys.stdin:
        answer(_run(call, **json.loads(line)))


def _call(peer: peers.Peer, work: Work, task: str) -> Callable[[], Any]:
    """One training step on the next batch, or one inference."""
    if task == "train":
        assert peer.train is not None
        step, batches = peer.train(work), _batches(work)
        return lambda: step(*next(batches))
    assert peer.predict is not None
    x = np.ascontiguousarray(work.x[0, : int(task)])
    predict = peer.predict(work, len(x))
    return lambda: predict(x)


def _batches(work: Work) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return itertools.cycle(list(zip(work.x, work.y, strict=True)))


def _run(call: Callable[[], Any], warm: int, calls: int) -> dict[str, Any]:
    """Makes `warm` calls and then `calls` timed ones."""
    for _ in range(warm):
        call()
    gc.collect()
    seconds, results = [], []
    for _ in range(calls):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
        results.append(result)
    return {"seconds": seconds, "results": results, "peak_bytes": _peak_bytes()}


def _peak_bytes() -> int:
    """Most resident memory so far; unlike getrusage's, without the parent's."""
    status = pathlib.Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def _answers() -> Callable[[dict[str, Any]], None]:
    """Takes standard output for the answers, away from what libraries print."""
    pipe = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return lambda value: print(json.dumps(value, default=np.ndarray.tolist), file=pipe)


if __name__ == "__main__":
    main()
