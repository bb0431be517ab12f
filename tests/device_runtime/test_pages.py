"""A flipped bit in every page of a state file: only what it hit can be lost."""

import pathlib
import shutil

import numpy as np
import pytest

from fedp.device_runtime.store import Store

ARTIFACT = "a" * 64
SIZE = 6000
PAGE = 4096
TABLES = ("facts", "generations", "examples", "outcomes", "unfinished")
Key = tuple[str, int]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[Key, tuple]]:
    """A file with some of everything, trees of several pages, and its rows."""
    store = Store.open(tmp_path_factory.mktemp("good"), ARTIFACT, SIZE)
    chance = np.random.default_rng(0)
    store.configure(capacity=20)
    for number in range(24):
        store.add_example(chance.standard_normal(200).astype(np.float32), number)
    for number in range(4):
        store.commit(chance.bytes(SIZE), "keep", f"reason {number}", "{}")
    for number in range(60):
        store.log_outcome(number / 60, 1.0 if number % 2 else None)
    store.save_unfinished(chance.bytes(3 * SIZE), "key")
    store.release(lambda _: (None, "remembered"))
    rows = rows_of(store)
    store.close()
    return store.path.read_bytes(), rows


def rows_of(store: Store) -> dict[Key, tuple]:
    queries = {table: f"SELECT * FROM {table}" for table in TABLES}
    return {
        (table, row[0]): row
        for table, query in queries.items()
        for row in store._connection.execute(query)
    }


def pages_of(content: bytes, row: tuple) -> set[int]:
    """Pages on which a row's own bytes lie: its hash is its alone, a blob random."""
    blobs = [value for value in row if isinstance(value, bytes)]
    parts = [blob[at : at + 64] for blob in blobs for at in range(0, len(blob), 64)]
    found = (content.find(part) for part in [row[-1].encode(), *parts])
    return {at // PAGE for at in found if at >= 0}


def flips(content: bytes) -> list[tuple[int, int]]:
    """Byte and bit: of the file's header, of each page's, and beyond."""
    chance = np.random.default_rng(1)
    header = [(at, int(chance.integers(8))) for at in (*range(72), *range(92, 100))]
    return header[1::2] + [
        (page * PAGE + int(at), int(chance.integers(8)))
        for page in range(len(content) // PAGE)
        for at in (0, *chance.integers(1, 8, 2), *chance.integers(8, PAGE, 3))
    ]


def test_a_flipped_bit_in_every_page(
    good: tuple[bytes, dict[Key, tuple]], tmp_path: pathlib.Path
) -> None:
    content, rows = good
    on = {key: pages_of(content, row) for key, row in rows.items()}
    assert all(on.values())
    for byte, bit in flips(content):
        where = f"bit {bit} of byte {byte % PAGE} on page {byte // PAGE}"
        flipped = bytearray(content)
        flipped[byte] ^= 1 << bit
        directory = tmp_path / "state"
        directory.mkdir(mode=0o700)
        (directory / "state.sqlite").write_bytes(flipped)
        store = Store.open(directory, ARTIFACT, SIZE)
        found, damage = rows_of(store), store.damage()
        lost = {key for key, row in rows.items() if found.get(key) != row}
        lost.discard(("facts", 1))  # The damage itself.
        assert found.keys() <= rows.keys() | {("facts", 1), ("facts", 2)}, where
        assert all(byte // PAGE in on[key] for key in lost), (where, lost)
        assert damage or not lost, where
        kept = [number for number in (4, 3, 2) if ("generations", number) not in lost]
        assert store.newest().id == kept[0] and len(kept) >= 2, where
        assert store.newest().weights == rows["generations", kept[0]][6], where
        # What the file's header says of itself must not keep it from being written.
        if byte < 100:
            assert store.add_example(np.zeros(200, np.float32), 0) == 25, where
        store.close()
        shutil.rmtree(directory)
