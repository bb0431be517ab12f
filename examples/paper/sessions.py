"""settings.json: what was asked, by which commands, how long it took, and on what."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import platform

from settings import Settings

from fedp.training.checkpoints import write_run_file


def note(settings: Settings, out: pathlib.Path, command: str, seconds: float) -> None:
    """Adds a session to the file."""
    from fedp.training.run_record import package_versions

    path, sessions = out / "settings.json", []
    with contextlib.suppress(OSError, ValueError, KeyError):
        sessions = json.loads(path.read_text())["sessions"]
    session = {
        "command": command,
        "seconds": round(seconds, 1),
        "versions": package_versions(),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
    }
    found = {"settings": dataclasses.asdict(settings), "sessions": [*sessions, session]}
    text = json.dumps(found, indent=1) + "\n"
    write_run_file(path, lambda file: file.write(text.encode()))
