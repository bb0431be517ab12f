"""Where the numbers of a weight lie in a buffer: found exactly or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from fedp.export.probing import Layout, layout_of, numbers_of, probe

KERNEL = np.arange(3 * 4 * 5 * 6).reshape(3, 4, 5, 6)


def test_every_number_of_a_probe_is_its_own() -> None:
    shapes = [(2, 3), (4,), ()]
    for number in (0, 1):
        weights = probe(shapes, number)
        assert [w.shape for w in weights] == shapes
        flat = np.concatenate([w.ravel() for w in weights])
        assert len(set(flat.tolist())) == 11 and np.isfinite(flat).all()


def test_two_probes_tell_weights_from_what_looks_like_them() -> None:
    first, second = (probe([(6,)], number)[0] for number in (0, 1))
    assert numbers_of(first.tobytes(), second.tobytes(), 6).tolist() == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]
    assert numbers_of(first.tobytes(), first.tobytes(), 6) is None
    assert numbers_of((2 * first).tobytes(), (2 * second).tobytes(), 6) is None
    assert numbers_of(second.tobytes(), first.tobytes(), 6) is None
    padded = [np.append(values, np.float32(0)).tobytes() for values in (first, second)]
    assert numbers_of(*padded, 6) is None


@pytest.mark.parametrize(
    ("numbers", "axes"),
    [
        (KERNEL, 1),
        (KERNEL.transpose(3, 0, 1, 2), 2),  # [6, 60]: HWI is one axis
        (KERNEL.transpose(3, 2, 1, 0), 4),
        (KERNEL[..., 2:4], 2),  # an LSTM's gate
        (KERNEL[..., 2:4].transpose(3, 0, 1, 2), 2),
        (KERNEL.reshape(60, 6).T.reshape(6, 3, 20), 2),
        (KERNEL[::-1, :, ::2], 3),  # the middle axes: [4, 3] merge only with stride
        (np.array([7]), 0),
        (np.array(7), 0),
        (np.full((2, 3), 5), 1),
    ],
)
def test_layouts(numbers: np.ndarray, axes: int) -> None:
    layout = layout_of(numbers.ravel(), numbers.shape)
    assert layout is not None and len(layout.shape) <= max(axes, 1) + 1
    assert (layout.indices().ravel() == numbers.ravel()).all()
    flat = layout_of(numbers.ravel(), (numbers.size,))
    assert flat is not None and (flat.indices().ravel() == numbers.ravel()).all()


@pytest.mark.parametrize("numbers", [[0, 1, 3], [0, 2, 1, 3, 5, 4], [5, 1, 2, 3]])
def test_no_layout(numbers: list[int]) -> None:
    assert layout_of(np.array(numbers), (len(numbers),)) is None


def test_axes_that_continue_each_other_are_one() -> None:
    assert layout_of(KERNEL.ravel(), KERNEL.shape) == Layout(0, (360,), (1,))
    turned = KERNEL.transpose(3, 0, 1, 2)
    assert layout_of(turned.ravel(), turned.shape) == Layout(0, (6, 60), (1, 6))
