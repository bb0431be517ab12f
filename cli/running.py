"""Runs the command line; every failure is one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

import click

from fedp.cli.group import cli
from fedp.device_runtime.errors import FedpError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a verb and leaves with its exit code; every failure is one line."""
    debug = os.environ.get("FEDP_DEBUG") == "1"
    try:
        code = cli.main(arguments, prog_name="fedp", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as request:
        code = request.exit_code
    except click.UsageError as error:
        verb = error.ctx.command_path if error.ctx else "fedp"
        code = _fail(f"{error.format_message()} (see `{verb} --help`)", 2)
    except (KeyboardInterrupt, click.Abort):
        code = _fail("stopped by Ctrl-C", 130)
    except BrokenPipeError:
        # Whoever read our output has enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except FedpError as error:
        code = _fail(str(error), error.exit_code)
        if debug:
            raise
    except Exception as error:
        if debug:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        code = _fail(f"unexpected {what} (FEDP_DEBUG=1 shows where)", 1)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    with contextlib.suppress(OSError):  # Nobody reads stderr any more.
        click.echo(f"fedp: error: {line}", err=True)
    return code
