"""The first release's schema, which held the generations of one artifact alone."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

from fedp.device_runtime import state_rows

SCHEMA_1 = {
    "artifact": (
        "CREATE TABLE artifact (sha256 TEXT NOT NULL, sha256_check TEXT NOT NULL, "
        "damage TEXT NOT NULL)"
    ),
    "generations": (
        "CREATE TABLE generations (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "created TEXT NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL, "
        "evidence TEXT NOT NULL, weights BLOB, sha256 TEXT NOT NULL)"
    ),
}


def owner_1(connection: sqlite3.Connection, artifact: str) -> tuple[str | None, str]:
    """Whose generations these are; None if that is unknown.

    The hash and its check are two witnesses: either one names the artifact.

    Args:
        connection: to the file.
        artifact: the one that the state is opened for.

    Returns:
        The artifact's hash, and one phrase on what is damaged.
    """
    query = "SELECT sha256, sha256_check FROM artifact"
    owner, check = connection.execute(query).fetchone() or (None, None)
    if check == _sha256(str(owner)):
        return owner, ""
    if owner == artifact or check == _sha256(artifact):
        return artifact, "the hash of its artifact is damaged"
    return None, "whose weights it holds is unknown"


def read_1(connection: sqlite3.Connection, number: int, owner: str) -> Any:
    """A generation as a row of today's; None where it does not match its hash."""
    row = state_rows.read_unchecked(connection, "generations", number)
    if not row or _hash_1(*row[1:-1]) != row[-1]:
        return None
    values = (row[0], owner, *row[1:-1])
    return (*values, state_rows.row_hash("generations", *values))


def damage_1(connection: sqlite3.Connection) -> str:
    """What was found damaged before."""
    return str(connection.execute("SELECT damage FROM artifact").fetchone()[0])


def drop_tables_1(connection: sqlite3.Connection) -> None:
    """Removes what schema 1 made."""
    for table in SCHEMA_1:
        connection.execute(f"DROP TABLE {table}")


def _hash_1(*values: Any) -> str:
    *texts, weights = values
    if not all(isinstance(text, str) for text in texts):
        return ""
    size = -1 if weights is None else len(weights)
    joined = "\0".join(texts).encode()
    return hashlib.sha256(b"%s\0%d\0%s" % (joined, size, weights or b"")).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
