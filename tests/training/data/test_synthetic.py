import concurrent.futures
import subprocess
import sys
import time

import numpy as np
import pytest

from fedp.device_runtime.errors import DataError
from fedp.training.data import SyntheticData
from fedp.training.data.glyphs import CELLS, FONTS, MARKS, glyph
from fedp.training.data.hands import CLASSES, choose_hand, draw

HASH = (
    "import hashlib, sys; from fedp.training.data import SyntheticData\n"
    "data = SyntheticData(30, seed=3); names = list(data.clients())[:6]\n"
    "if sys.argv[1] == 'backwards': names.reverse()\n"
    "read = {name: data.load(name) for name in names}\n"
    "whole = [a.tobytes() for name in sorted(read) for a in read[name]]\n"
    "print(hashlib.sha256(b''.join(whole)).hexdigest())"
)


def test_two_processes_draw_identical_bytes_in_any_order():
    hashes = {
        subprocess.run(
            [sys.executable, "-c", HASH, order],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for order in ("forwards", "backwards")
    }
    assert len(hashes) == 1


def test_a_client_depends_on_seed_and_name_alone():
    few, many, other = SyntheticData(5), SyntheticData(900), SyntheticData(5, seed=1)
    name = few.clients()[4]
    for a, b in zip(few.load(name), many.load(name), strict=True):
        np.testing.assert_array_equal(a, b)
    assert few.fingerprint == many.fingerprint != other.fingerprint
    assert not np.array_equal(few.load(name).x[:1], other.load(name).x[:1])


def test_examples_are_of_the_promised_kind():
    data = SyntheticData(20)
    assert len(data.classes) == 62 and data.classes[9:12] == ("9", "A", "B")
    for name in data.clients():
        x, y = data.load(name)
        assert x.dtype == np.uint8 and x.shape == (data.count(name), 28, 28)
        assert y.dtype == np.int32 and y.shape == (len(x),)
        assert y.min() >= 0 and y.max() < 62
        assert (x.max(axis=(1, 2)) > 100).all()


def test_a_cap_keeps_the_first_examples():
    whole, capped = SyntheticData(10), SyntheticData(10, max_examples=70)
    sizes = [whole.count(name) for name in whole.clients()]
    assert max(sizes) > 70 > min(sizes)
    for name in whole.clients():
        assert capped.count(name) == min(70, whole.count(name))
        for a, b in zip(capped.load(name), whole.load(name), strict=True):
            np.testing.assert_array_equal(a, b[:70])


def test_sizes_are_unbalanced_and_some_clients_are_tiny():
    data = SyntheticData(2000)
    sizes = np.array([data.count(name) for name in data.clients()])
    assert sizes.min() >= 1 and sizes.max() == 300
    assert 60 < np.median(sizes) < 100
    assert 0.02 < (sizes < 10).mean() < 0.08
    assert (sizes > 200).mean() > 0.05


def test_class_mixes_are_uneven():
    data = SyntheticData(12)
    for name in data.clients():
        y = data.load(name).y
        if len(y) > 60:
            counts = np.bincount(y, minlength=62)
            # 62 even classes would put a fifth of the examples into the top twelve.
            assert np.sort(counts)[-12:].sum() > 0.4 * len(y)


def test_opening_a_million_clients_is_instant():
    start = time.perf_counter()
    data = SyntheticData(1_000_000)
    names = data.clients()
    assert len(names) == 1_000_000 and names[999_999] == names[-1]
    assert names[3:5] == [names[3], names[4]]
    assert names[17] in names and "writer-17" not in names and "x" not in names
    data.load(names[123_456])
    assert time.perf_counter() - start < 1


def test_names_are_sorted():
    names = list(SyntheticData(1200).clients())
    assert names == sorted(names) and len(set(names)) == 1200


def test_every_font_tells_every_class_apart():
    for font in FONTS:
        fields = np.stack([glyph(font, name) for name in CLASSES])
        inked = (fields > 0).mean(axis=(1, 2))
        assert (inked > 0.01).all() and (inked < 0.4).all()
        # Ink never touches the edge: nothing is cut off.
        edge = np.concatenate(
            [fields[:, [0, -1]], fields[:, :, [0, -1]].swapaxes(1, 2)]
        )
        assert (edge < 0).all()
        for a in range(62):
            gap = np.abs(fields - fields[a]).mean(axis=(1, 2))
            # Nearest are i and l of DejaVu Sans, 0.026: all but a dot's gap alike.
            assert (np.delete(gap, a) > 0.02).all(), (font, CLASSES[a])


def test_fields_are_distances_to_the_outline():
    stem = glyph("DejaVuSans", "I")
    row = stem[CELLS // 2]
    # "I" is a straight stem: along a row the distance falls by one a cell.
    middle = row.argmax()
    assert row[middle] > 1.5
    np.testing.assert_allclose(np.diff(row[middle + 2 : middle + 8]), -1, atol=0.05)
    assert not stem.flags.writeable


@pytest.mark.parametrize("mark", sorted(set(MARKS) - {""}))
def test_marks_only_add_ink(mark):
    plain, marked = glyph("cmr10", "Z"), glyph("cmr10", "Z", mark)
    assert (marked >= plain).all() and (marked > 0).sum() > (plain > 0).sum()


def test_hands_differ_more_than_one_hand_from_itself():
    y = np.repeat(np.arange(62), 2)
    drawn = []
    for seed in range(6):
        hand = choose_hand(np.random.default_rng(seed))
        x = draw(hand, y, np.random.default_rng(100 + seed)).astype(float)
        drawn.append(x.reshape(62, 2, 28 * 28))
    drawn = np.stack(drawn)
    within = np.abs(drawn[:, :, 0] - drawn[:, :, 1]).mean()
    between = np.abs(drawn[:-1, :, 0] - drawn[1:, :, 0]).mean()
    assert within > 2  # no two images are the same
    assert between > 1.25 * within


def nearest(train_x, train_y, x):
    """1-nearest-neighbour classifier on blurred pixels."""
    a, b = (v.reshape(len(v), 14, 2, 14, 2).mean((2, 4)).reshape(len(v), -1)
            for v in (train_x.astype(np.float32), x.astype(np.float32)))  # fmt: skip
    distance = (a**2).sum(1) - 2 * b @ a.T
    return train_y[distance.argmin(axis=1)]


def test_own_examples_help_most_clients_and_not_the_troubled_ones():
    """A client's own half tells more than ten times as much of others' writing."""
    data = SyntheticData(120)
    names = list(data.clients())
    others = [data.load(name) for name in names[:25]]
    x = np.concatenate([e.x for e in others])
    y = np.concatenate([e.y for e in others])
    gains = []
    for name in names[25:]:
        mine = data.load(name)
        half = len(mine.y) // 2
        if half < 20:
            continue
        initial = (nearest(x, y, mine.x[half:]) == mine.y[half:]).mean()
        with_own_x = np.concatenate([x, mine.x[:half]])
        with_own_y = np.concatenate([y, mine.y[:half]])
        personal = nearest(with_own_x, with_own_y, mine.x[half:])
        gains.append((personal == mine.y[half:]).mean() - initial)
    gains = np.array(gains)
    assert len(gains) > 50
    assert (gains > 0.05).mean() > 0.7
    assert 0.01 < (gains <= 0.02).mean() < 0.25


def test_wrong_arguments_and_names():
    for clients in (0, -1, 10**9):
        with pytest.raises(DataError, match=f"with {clients} clients"):
            SyntheticData(clients)
    with pytest.raises(DataError, match="max_examples is 0"):
        SyntheticData(3, max_examples=0)
    data = SyntheticData(3)
    for name in ("writer-0000003", "writer-1", "anna", "", "writer-٠٠٠٠٠٠1"):
        for ask in (data.load, data.count):
            with pytest.raises(DataError, match="no client .*writer-0000000"):
                ask(name)


def test_threads_draw_what_one_thread_draws():
    data = SyntheticData(24, seed=11)
    names = list(data.clients())
    glyph.cache_clear()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(data.load, names))
    glyph.cache_clear()
    for name, mine in zip(names, together, strict=True):
        np.testing.assert_array_equal(mine.x, data.load(name).x)
