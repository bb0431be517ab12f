"""docs/layers.md says what the code does."""

from __future__ import annotations

from tests.export.layers_document import PLACE, text


def test_document_is_the_table():
    assert PLACE.read_text() == text(), "run python -m tests.export.layers_document"
