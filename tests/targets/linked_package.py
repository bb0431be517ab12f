"""The package `fedp` as a device has it, without copying it."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]
PARTS = ("__init__.py", "cli", "device_runtime", "export", "training")


def link_package(folder: pathlib.Path) -> None:
    """Makes FOLDER/fedp of links; one to the whole repository would hold itself."""
    package = folder / "fedp"
    package.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if not (package / part).is_symlink():
            (package / part).symlink_to(ROOT / part)
