"""Writes the vectors that every host checks itself with.

Usage: python -m tests.device_runtime.vectors [DIRECTORY]
"""

import pathlib
import sys

from . import HOME, MAKERS, text_of

if __name__ == "__main__":
    home = pathlib.Path(sys.argv[1]) if sys.argv[1:] else HOME
    home.mkdir(parents=True, exist_ok=True)
    for name in MAKERS:
        text = text_of(name)
        (home / name).write_text(text, encoding="ascii")
        print(f"{home / name}: {len(text)} bytes")
