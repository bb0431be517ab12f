"""What the tests of the demo share."""

import contextlib

import pytest


@pytest.fixture
def serve():
    """Serves what `Device.open` opens, until the test ends."""
    from .asking import served  # Without werkzeug these tests are skipped.

    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **settings: stack.enter_context(
            served(*arguments, **settings)
        )
