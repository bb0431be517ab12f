"""`fedp` itself: finds its verbs by their files and loads the one that is asked for."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

import click

import fedp
from fedp.cli import verbs
from fedp.cli.call import debug_option
from fedp.cli.verb import Verb, unwrapped


class VerbGroup(click.Group):
    """Verbs that are imported when they are used: `predict` is asked for often."""

    def verbs(self) -> list[Verb]:
        """All verbs, which imports them."""
        return [
            verb
            for name in self.list_commands()
            if (verb := self.get_command(None, name))
        ]

    def list_commands(self, ctx: click.Context | None = None) -> list[str]:
        """The verbs' names, in the order of the alphabet."""
        return sorted(module.name for module in pkgutil.iter_modules(verbs.__path__))

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> Verb | None:
        """The verb of that name; None where there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{verbs.__name__}.{cmd_name}")
        command: Verb = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the verb that a command line begins with.

        Raises:
            click.UsageError: there is none; the message names the likeliest.
        """
        # A shell completes what is not right yet.
        known = ctx.resilient_parsing or self.get_command(ctx, args[0]) is not None
        if not known and args[0][:1].isalnum():
            names = self.list_commands(ctx)
            close = difflib.get_close_matches(args[0].lower(), names, n=1)
            meant = (
                f"did you mean {close[0]!r}?"
                if close
                else "the verbs are " + ", ".join(names)
            )
            ctx.fail(f"there is no verb {args[0]!r}: {meant}")
        return super().resolve_command(ctx, args)


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(fedp.__version__, prog_name="fedp")
@debug_option
def cli() -> None:
    r"""On-device personalization: train federated, export, adapt on devices.

    \b
    fedp train --data synthetic --out run
    fedp tune run
    fedp export run --out model.tflite
    fedp evaluate model.tflite --data synthetic --report report
    fedp personalize model.tflite --data me.npz --state state
    """


cli.help = unwrapped(cli.help)
