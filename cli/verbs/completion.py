"""`fedp completion`."""

from __future__ import annotations

import click

from fedp.cli.printing import print_json
from fedp.cli.verb import verb

SHELLS = ("bash", "zsh", "fish")


@verb(needs="nothing")
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
def completion(as_json: bool, seed: int, shell: str) -> None:
    r"""Print a script that makes a shell complete verbs, options and files.

    \b
    Examples:
      fedp completion bash > ~/.local/share/bash-completion/completions/fedp
      fedp completion zsh > ~/.zfunc/_fedp
      fedp completion fish > ~/.config/fish/completions/fedp.fish
    """
    from click.shell_completion import get_completion_class

    from fedp.cli.group import cli

    found = get_completion_class(shell)
    assert found is not None
    template = found(cli, {}, "fedp", "_FEDP_COMPLETE")
    # Not `source()`, which starts the shell to ask for its version.
    script = template.source_template % template.source_vars()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
