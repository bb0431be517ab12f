"""Cells of recurrent layers over all steps, with the batch as the last axis.

The inputs of all steps go through one matrix product; a step is left with the recurrent
one and the gates. With states of [units, n] the large matrix is the left factor of each
product, which interpreters neither pack nor transpose anew at every step, and a gate is
a block of whole rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Activation = Callable[[tf.Tensor], tf.Tensor]
States = list[tf.Tensor]  # [units, n] each
# (a step's inputs [rows, n], states before, None for zeros) -> (output, states after).
Step = Callable[[tf.Tensor, States | None], tuple[tf.Tensor, States]]

_layers, _activations = tf.keras.layers, tf.keras.activations
_ELEMENTWISE = (
    _activations.elu,
    _activations.exponential,
    _activations.gelu,
    _activations.hard_sigmoid,
    _activations.linear,
    _activations.relu,
    _activations.selu,
    _activations.sigmoid,
    _activations.softplus,
    _activations.softsign,
    _activations.swish,
    _activations.tanh,
)


def over_steps(
    cell: tf.keras.layers.Layer,
    x: tf.Tensor,
    states: States | None,
    masks: Sequence[tf.Tensor] | None,
    *,
    backwards: bool,
    training: bool,
) -> tuple[list[tf.Tensor], States]:
    """Runs a cell over a sequence.

    Args:
        cell: of a recurrent layer.
        x: [d, L, n].
        states: before the first step; None for zeros.
        masks: 1 or 0 for every step in order of time, [1, n] each; a step of 0 repeats
            the output and the states before it.
        backwards: begin at the last step.
        training: whether the cell drops out.

    Returns:
        Outputs [units, n] in the order in which they come, and the last states.
    """
    if isinstance(cell, _layers.StackedRNNCells):
        return _stacked(cell, x, states, masks, backwards, training)
    fast = _has_fast_steps(cell, training)
    inputs = _projected(cell, x, training) if fast else tf.unstack(x, axis=1)
    step = _STEPS[type(cell)](cell) if fast else _own_steps(cell, training)
    order = range(len(inputs))[:: -1 if backwards else 1]
    outputs: list[tf.Tensor] = []
    for number in order:
        output, after = step(inputs[number], states)
        if masks is not None:
            mask = masks[number]
            output = _where(mask, output, outputs[-1] if outputs else None)
            before = states or [None] * len(after)
            after = [_where(mask, *pair) for pair in zip(after, before, strict=True)]
        outputs.append(output)
        states = after
    return outputs, states or []


def _where(mask: tf.Tensor, new: tf.Tensor, old: tf.Tensor | None) -> tf.Tensor:
    return mask * new if old is None else old + mask * (new - old)


def _stacked(
    stack: Any,
    x: tf.Tensor,
    states: States | None,
    masks: Sequence[tf.Tensor] | None,
    backwards: bool,
    training: bool,
) -> tuple[list[tf.Tensor], States]:
    """Cell after cell over the whole sequence: no step needs the one above before."""
    outputs: list[tf.Tensor] = []
    last: States = []
    for number, cell in enumerate(stack.cells):
        if number:
            x = tf.stack(outputs[:: -1 if backwards else 1], axis=1)
        count = len(tf.nest.flatten(cell.state_size))
        mine = None if states is None else states[len(last) : len(last) + count]
        outputs, after = over_steps(
            cell, x, mine, masks, backwards=backwards, training=training
        )
        last += after
    return outputs, last


def _has_fast_steps(cell: Any, training: bool) -> bool:
    """Whether `_STEPS` computes what the cell does; a subclass may do anything."""
    if type(cell) not in _STEPS:
        return False
    if not training:
        return True
    # In its first implementation, Keras draws a mask for each gate.
    fused = getattr(cell, "implementation", 2) == 2
    return not cell.recurrent_dropout and (fused or not cell.dropout)


def _projected(cell: Any, x: tf.Tensor, training: bool) -> list[tf.Tensor]:
    """Every step's inputs times the cell's kernel: [gates units, n] each."""
    width, count, _ = x.shape
    rows = cell.kernel.shape[1]
    if training and cell.dropout:
        # One mask for all steps, as in Keras.
        x = x * tf.nn.dropout(tf.ones_like(x[:, :1]), cell.dropout)
    kernel = tf.convert_to_tensor(cell.kernel)
    z = tf.matmul(kernel, tf.reshape(x, [width, -1]), transpose_a=True)
    if cell.use_bias:
        bias = tf.convert_to_tensor(cell.bias)
        z = z + _column(bias[0] if bias.shape.rank == 2 else bias)
    return list(tf.unstack(tf.reshape(z, [rows, count, -1]), axis=1))


def _own_steps(cell: Any, training: bool) -> Step:
    """The cell's own call, on [n, d]."""
    for name in ("reset_dropout_mask", "reset_recurrent_dropout_mask"):
        getattr(cell, name, lambda: None)()
    sizes = tf.nest.flatten(cell.state_size)

    def step(x: tf.Tensor, states: States | None) -> tuple[tf.Tensor, States]:
        if states is None:
            row = tf.zeros_like(x[:1])
            states = [row + tf.zeros([int(size), 1]) for size in sizes]
        packed = [tf.transpose(state) for state in states]
        packed = tf.nest.pack_sequence_as(cell.state_size, packed)
        if not tf.nest.is_nested(packed):
            packed = [packed]
        output, after = cell(tf.transpose(x), packed, training=training)
        return tf.transpose(output), [tf.transpose(s) for s in tf.nest.flatten(after)]

    return step


def _lstm(cell: Any) -> Step:
    times = _by(cell.recurrent_kernel)
    gate = _columnwise(cell.recurrent_activation)
    activation = _columnwise(cell.activation)

    def step(z: tf.Tensor, states: States | None) -> tuple[tf.Tensor, States]:
        if states is not None:
            z = z + times(states[0])
        i, f, g, o = tf.split(z, 4, axis=0)
        c = gate(i) * activation(g)
        if states is not None:
            c = gate(f) * states[1] + c
        h = gate(o) * activation(c)
        return h, [h, c]

    return step


def _gru(cell: Any) -> Step:
    gate = _columnwise(cell.recurrent_activation)
    activation = _columnwise(cell.activation)
    inner = (_gru_reset_after if cell.reset_after else _gru_reset_before)(cell, gate)

    def step(x: tf.Tensor, states: States | None) -> tuple[tf.Tensor, States]:
        update, rest = inner(x, states[0] if states else None)
        z, new = gate(update), activation(rest)
        h = new - z * new if states is None else new + z * (states[0] - new)
        return h, [h]

    return step


# What a GRU's update gate and candidate are the activations of.
_Inner = Callable[[tf.Tensor, tf.Tensor | None], tuple[tf.Tensor, tf.Tensor]]


def _gru_reset_after(cell: Any, gate: Activation) -> _Inner:
    times = _by(cell.recurrent_kernel)
    bias = None
    if cell.use_bias:
        bias = _column(tf.convert_to_tensor(cell.bias)[1])

    def inner(x: tf.Tensor, h: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        xz, xr, xh = tf.split(x, 3, axis=0)
        if h is None and bias is None:
            return xz, xh
        recurrent = bias if h is None else times(h)
        if h is not None and bias is not None:
            recurrent = recurrent + bias
        hz, hr, hh = tf.split(recurrent, 3, axis=0)
        return xz + hz, xh + gate(xr + hr) * hh

    return inner


def _gru_reset_before(cell: Any, gate: Activation) -> _Inner:
    units = cell.units
    kernel = tf.convert_to_tensor(cell.recurrent_kernel)
    times, times_reset = _by(kernel[:, : 2 * units]), _by(kernel[:, 2 * units :])

    def inner(x: tf.Tensor, h: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        xz, xr, xh = tf.split(x, 3, axis=0)
        if h is None:
            return xz, xh
        hz, hr = tf.split(times(h), 2, axis=0)
        return xz + hz, xh + times_reset(gate(xr + hr) * h)

    return inner


def _simple(cell: Any) -> Step:
    times, activation = _by(cell.recurrent_kernel), _columnwise(cell.activation)

    def step(z: tf.Tensor, states: States | None) -> tuple[tf.Tensor, States]:
        h = activation(z if states is None else z + times(states[0]))
        return h, [h]

    return step


_STEPS: dict[type, Callable[[Any], Step]] = {
    _layers.LSTMCell: _lstm,
    _layers.GRUCell: _gru,
    _layers.SimpleRNNCell: _simple,
}


def _by(kernel: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """The product with a kernel [units, gates units], which is read once."""
    kernel = tf.convert_to_tensor(kernel)
    return lambda state: tf.matmul(kernel, state, transpose_a=True)


def _column(bias: tf.Tensor) -> tf.Tensor:
    return tf.reshape(bias, [-1, 1])


def _columnwise(activation: Activation | None) -> Activation:
    """An activation of [units, n] as if it were [n, units]."""
    if activation is None:
        return _activations.linear  # type: ignore[no-any-return]
    known = activation
    if known in _ELEMENTWISE:
        return known
    return lambda z: tf.transpose(known(tf.transpose(z)))
