"""What the demo needs beside a device install."""

from __future__ import annotations

import importlib.util

from fedp.device_runtime.errors import MissingDependencyError


def check_installed() -> None:
    """Asks for the web server's library before anything imports it.

    Raises:
        MissingDependencyError: werkzeug is not installed.
    """
    try:
        found = importlib.util.find_spec("werkzeug")
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise MissingDependencyError(
            "the demo needs werkzeug, which is not installed: "
            "run `pip install 'fedp[demo]'`"
        )
