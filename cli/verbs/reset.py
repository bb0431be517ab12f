"""`fedp reset`."""

from __future__ import annotations

import pathlib

from fedp.cli.options import state_option
from fedp.cli.places import existing, mention_missing
from fedp.cli.printing import print_result
from fedp.cli.verb import verb


@verb(needs="nothing")
@state_option
def reset(as_json: bool, seed: int, state: pathlib.Path) -> None:
    r"""Go back to the initial model; forgets what was learned from the examples.

    \b
    Example:
      fedp reset --state state
    """
    from fedp.device_runtime import forget_state

    mention_missing(state)
    if existing(state):
        forget_state(state)
    print_result(as_json, {"state": str(state), "live": "initial"})
