"""Runs the command line; every failure is one line and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from fedp.cli.call import Call, colour
from fedp.cli.group import cli
from fedp.device_runtime.errors import FedpError

# Set by the scripts that `fedp completion` prints.
_COMPLETE = "_FEDP_COMPLETE"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a verb and leaves with its exit code; every failure is one line.

    Args:
        arguments: of the command line; those of this process unless given.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    call = Call(arguments, debug=os.environ.get("FEDP_DEBUG") == "1")
    try:
        code = _run(list(arguments), call)
    except BrokenPipeError:
        # Whoever read our output has enough, as `head` has: end as a filter does.
        _abandon(sys.stdout, sys.stderr)
        code = 128 + signal.SIGPIPE
    sys.exit(code)


def _run(arguments: list[str], call: Call) -> int:
    # Not click's own main: it prints too, and takes an EOFError for Ctrl-C.
    try:
        if _COMPLETE in os.environ:
            return _complete(os.environ[_COMPLETE])
        with cli.make_context("fedp", arguments, obj=call, color=colour()) as context:
            cli.invoke(context)
        return _flush()
    except click.exceptions.Exit as request:
        return _flush() or request.exit_code
    except click.UsageError as error:
        verb = error.ctx.command_path if error.ctx else "fedp"
        return _fail(f"{error.format_message()} (see `{verb} --help`)", 2)
    except (KeyboardInterrupt, click.Abort):
        if sys.stderr.isatty():
            click.echo(err=True)  # The terminal has put ^C there.
        return _fail(f"stopped by Ctrl-C: {call.again}", 130)
    except BrokenPipeError:
        raise
    except FedpError as error:
        return _fail(str(error), error.exit_code, call)
    except Exception as error:
        return _flush() or _fail(_unforeseen(error, call), 1, call)


def _unforeseen(error: Exception, call: Call) -> str:
    where = f"{call.log} and --debug show where" if call.log else "--debug shows where"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename or 'the output'} cannot be written: {error.strerror}"
    return f"unexpected {type(error).__name__}: {error} ({where})"


def _fail(message: str, code: int, call: Call | None = None) -> int:
    if call is not None and call.debug:
        import traceback

        traceback.print_exc()
    line = " ".join(message.split())
    error = click.style("error:", fg="red", bold=True)
    with contextlib.suppress(OSError):  # Nobody reads stderr any more.
        click.echo(f"fedp: {error} {line}", err=True, color=colour())
    return code


def _flush() -> int:
    """Makes sure that what was printed has arrived; a full disk is a failure."""
    try:
        if sys.stdout is not None:  # as after `fedp doctor >&-`
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _abandon(sys.stdout)
        return _fail(f"stdout cannot be written ({error.strerror}): mend that", 1)
    return 0


def _abandon(*streams: object) -> None:
    """Lets Python say nothing of what a stream still holds when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            os.dup2(nowhere, stream.fileno())  # type: ignore[attr-defined]


def _complete(instruction: str) -> int:
    from click.shell_completion import shell_complete

    return shell_complete(cli, {}, "fedp", _COMPLETE, instruction)
