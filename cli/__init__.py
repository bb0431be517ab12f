"""The command line: parse, one library call, print, exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 128 + signal when stopped by one.
Results go to stdout, progress and errors to stderr.

A verb is a file in `verbs/` that holds a function of the same name under `@verb`; no
list names it.
"""

from fedp.cli.group import cli
from fedp.cli.running import main

__all__ = ["cli", "main"]
