"""Which options a user has given, and which of them cannot go together."""

from __future__ import annotations

import click
from click.core import ParameterSource


def given_on_the_line(context: click.Context) -> set[str]:
    """Names of the options that stand on the command line."""
    names = (parameter.name or "" for parameter in context.command.params)
    source = context.get_parameter_source
    return {name for name in names if source(name) is ParameterSource.COMMANDLINE}


def refuse_other_options(context: click.Context, flag: str, *allowed: str) -> None:
    """Refuses whatever a user gave beside `flag` and the allowed options."""
    given = given_on_the_line(context)
    for parameter in context.command.params:
        if parameter.name in given and parameter.name not in (*allowed, "debug"):
            raise click.UsageError(
                f"{parameter.opts[0]} cannot go with {flag}, which takes a run as it "
                "was: leave it out"
            )


def refuse_options(context: click.Context, thing: str, *refused: str) -> None:
    """Refuses the options that make no sense for a thing."""
    for parameter in context.command.params:
        if parameter.name in refused and parameter.name in given_on_the_line(context):
            raise click.UsageError(
                f"{parameter.opts[0]} cannot go with {thing}: leave it out"
            )
