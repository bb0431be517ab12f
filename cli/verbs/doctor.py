"""`fedp doctor`."""

from __future__ import annotations

import click

import fedp
from fedp.cli.printing import print_json, print_table
from fedp.cli.verb import verb


@verb(needs="nothing")
def doctor(as_json: bool, seed: int) -> None:
    r"""Say what is installed, what each verb lacks, and the command that mends it.

    \b
    Example: fedp doctor
    """
    from fedp.cli.group import cli
    from fedp.device_runtime import doctor as examination
    from fedp.device_runtime.installed_size import installed_size

    checks = examination.checks(
        {str(v.name): v.needs for v in cli.verbs() if v.name != "doctor"}
    )
    packages, sizes = examination.installed(), installed_size()
    if as_json:
        print_json(
            {
                "machine": examination.machine(),
                "fedp": fedp.__version__,
                "packages": packages,
                "device_install": {"bytes": sum(sizes.values()), "packages": sizes},
                "verbs": {
                    c.verb: {"ready": c.ready, "missing": c.missing, "mend": c.mend}
                    for c in checks
                },
            }
        )
        return
    click.echo(f"fedp {fedp.__version__}, {examination.machine()}\n")
    print_table((name, found or "-") for name, found in packages.items())
    if sizes:
        click.echo(f"\ndevice install: {_megabytes(sizes)}, beside Python")
    click.echo()
    print_table(
        (c.verb, "ready" if c.ready else "lacks " + ", ".join(c.missing))
        for c in checks
    )
    for mend in dict.fromkeys(c.mend for c in checks if c.mend):
        verbs = ", ".join(c.verb for c in checks if c.mend == mend)
        click.echo(f"\nfor {verbs}:\n  {mend}")


def _megabytes(sizes: dict[str, int]) -> str:
    parts = ", ".join(f"{name} {n / 1e6:.1f}" for name, n in sizes.items())
    return f"{sum(sizes.values()) / 1e6:.1f} MB ({parts})"
