"""`fedp demo`."""

from __future__ import annotations

import pathlib

import click

from fedp.cli.options import (
    PATH,
    artifact_argument,
    interpreter_option,
    public_key_option,
)
from fedp.cli.printing import print_json, say
from fedp.cli.verb import verb


@verb(needs="showing")
@artifact_argument
@click.option("--state", type=PATH, help="State directory. Default: in memory.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Of 127.0.0.1; 0 takes a free one.",
)
@click.option("--epochs", type=click.IntRange(0), help="In place of the policy's.")
@click.option("--seconds", type=click.FloatRange(0), help="Most time to adapt.")
@interpreter_option
@public_key_option
def demo(
    as_json: bool,
    seed: int,
    artifact: pathlib.Path,
    state: pathlib.Path | None,
    port: int,
    epochs: int | None,
    seconds: float | None,
    interpreter: str | None,
    public_key: pathlib.Path | None,
) -> None:
    r"""Serve a local page that shows how a model adapts.

    \b
    Example:
      fedp demo model.tflite --state state
    """
    from fedp.demo.requirement import check_installed

    check_installed()
    from fedp.demo.device import Device
    from fedp.demo.server import Server
    from fedp.device_runtime import Budget

    with (
        Device.open(
            artifact,
            state,
            interpreter=interpreter,
            public_key=public_key,
            budget=Budget(seconds=seconds, epochs=epochs),
            seed=seed,
        ) as device,
        Server(device, port) as server,
    ):
        if as_json:
            print_json({"url": server.url})
        else:
            click.echo(server.url)
            say("open this address in a browser on this machine; Ctrl-C ends the demo")
        server.wait()
