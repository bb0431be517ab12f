"""A look at a state file: made if it is new, of today's schema, and what is good."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3

from fedp.device_runtime import facts
from fedp.device_runtime.errors import StateError
from fedp.device_runtime.page_scan import header_fits
from fedp.device_runtime.schema_1 import damage_1, drop_tables_1
from fedp.device_runtime.state_connection import connect_file, transaction
from fedp.device_runtime.state_salvage import Found, Owner, check, is_ours, rows_1
from fedp.device_runtime.state_schema import (
    SCHEMA_VERSION,
    make_tables,
    tables,
    version_of,
)


def look(
    stack: contextlib.ExitStack, path: pathlib.Path, owner: Owner, *, hold: bool
) -> tuple[sqlite3.Connection | None, Found]:
    """Opens a file, brings it to today's schema, and says what is damaged in it.

    Args:
        stack: closes the connection.
        path: of the file.
        owner: whom it is opened for.
        hold: whether to keep all others from writing until the stack ends.

    Raises:
        StateError: it is another program's, or a newer release's.
        OSError, sqlite3.OperationalError: it cannot be read, or made.
    """
    found, connection = Found(), None
    if not header_fits(path) and is_ours(path):
        found.notes.append("its header is broken")
        return None, found
    try:
        connection = connect_file(path)
        stack.callback(connection.close)
        if not tables(connection):
            _start(connection, path)
        if hold:
            connection.execute("BEGIN IMMEDIATE")
        version = version_of(connection, path)
        found = check(connection, version, owner)
        if version != SCHEMA_VERSION and not found.damage:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            _migrate(connection, path, owner)
    except StateError:
        if not is_ours(path):
            raise
        found.notes.append("its schema is broken")
    except sqlite3.OperationalError:  # Locked or unreadable now; not damaged.
        raise
    except UnicodeDecodeError:  # SQLite's own message quotes the damaged bytes.
        found.notes.append("its schema is broken")
    except sqlite3.DatabaseError as error:
        # Python 3.10 has no words where the message is no UTF-8.
        found.notes.append(str(error) or "its schema is broken")
    return connection, found


def _start(connection: sqlite3.Connection, path: pathlib.Path) -> None:
    """Makes the tables in a file that has none."""
    with transaction(connection):
        if tables(connection):  # Another process was faster.
            return
        if path.stat().st_size:  # SQLite takes the first bytes of a file for none.
            raise sqlite3.DatabaseError("it is cut short")
        make_tables(connection)


def _migrate(connection: sqlite3.Connection, path: pathlib.Path, owner: Owner) -> None:
    """Turns an older schema into today's, in one transaction."""
    with transaction(connection):
        version = version_of(connection, path)
        if version == SCHEMA_VERSION:  # Another process was faster.
            return
        found, damage = check(connection, version, owner), damage_1(connection)
        rows = rows_1(connection, owner)
        drop_tables_1(connection)
        make_tables(connection, rows, found.last_ids)
        facts.put(connection, "damage", damage)
