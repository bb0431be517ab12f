"""State files as the first release wrote them (schema 1)."""

import hashlib
import pathlib
import sqlite3


def write_old_state(directory: pathlib.Path, artifact: str, blobs: list[bytes]) -> None:
    """A file with a generation for each blob, ids from 1."""
    directory.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(directory / "state.sqlite") as connection:
        connection.execute(
            "CREATE TABLE artifact (sha256 TEXT NOT NULL, sha256_check TEXT NOT NULL, "
            "damage TEXT NOT NULL)"
        )
        connection.execute(
            "CREATE TABLE generations (id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "created TEXT NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL, "
            "evidence TEXT NOT NULL, weights BLOB, sha256 TEXT NOT NULL)"
        )
        connection.execute("PRAGMA user_version = 1")
        check = hashlib.sha256(artifact.encode()).hexdigest()
        connection.execute("INSERT INTO artifact VALUES (?, ?, '')", (artifact, check))
        for number, blob in enumerate(blobs, 1):
            texts = ("2026-01-01T00:00:00+00:00", "keep", f"reason {number}", "{}")
            said = "\0".join(texts).encode() + b"\0%d\0" % len(blob) + blob
            row = (*texts, blob, hashlib.sha256(said).hexdigest())
            connection.execute(
                "INSERT INTO generations VALUES (NULL, ?, ?, ?, ?, ?, ?)", row
            )
    connection.close()
