"""Columns of a Parquet file: which are the client, the label and the inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fedp.device_runtime.errors import DataError

_CLIENTS = ("client", "client_id", "user", "user_id")
_LABELS = ("label", "y")
_INPUT = "x"
OPTIONS = ("client", "label", "shape")


class Columns(NamedTuple):
    """What is read of a Parquet file.

    Attributes:
        client: the column of clients' names.
        label: the column of labels.
        inputs: the one column of inputs, or several of one number each.
        shape: one example's shape; None as the column has it.
    """

    client: str
    label: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...] | None


def find_columns(schema: Any, options: Mapping[str, str]) -> Columns:
    """Tells the columns by name, type and the schema's metadata.

    Args:
        schema: an Arrow schema; its metadata may hold `shape`, a JSON list.
        options: `client`, `label` (names of columns) and `shape` ("28,28").

    Raises:
        DataError: no such columns.
    """
    import pyarrow as pa

    have = list(schema.names)
    client = _named("client", options.get("client"), _CLIENTS, have)
    label = _named("label", options.get("label"), _LABELS, have)
    others = [name for name in have if name not in (client, label)]
    if _INPUT in others:
        inputs = (_INPUT,)
    else:
        types = {name: schema.field(name).type for name in others}
        inputs = tuple(
            name
            for name, kind in types.items()
            if pa.types.is_integer(kind) or pa.types.is_floating(kind)
        )
        nested = [name for name in others if name not in inputs]
        if len(nested) == 1 and not inputs:
            inputs = (nested[0],)
    if not inputs:
        raise DataError(
            f"has columns {', '.join(have)}; besides {client} and {label}, one column "
            "x of lists or several columns of numbers are needed"
        )
    metadata = {**(schema.metadata or {}), **(schema.field(inputs[0]).metadata or {})}
    return Columns(client, label, inputs, _shape(options, metadata))


def _named(
    role: str, wanted: str | None, usual: Sequence[str], have: Sequence[str]
) -> str:
    allowed = usual if wanted is None else (wanted,)
    for name in allowed:
        if name in have:
            return name
    raise DataError(
        f"has no {role} column {' or '.join(allowed)} (it has {', '.join(have)}): name "
        f"it as in FILE?{role}=COLUMN"
    )


def _shape(
    options: Mapping[str, str], metadata: Mapping[bytes, bytes]
) -> tuple[int, ...] | None:
    found: Any = metadata.get(b"shape")
    try:
        if "shape" in options:
            found = f"[{options['shape']}]"
        shape = None if found is None else tuple(json.loads(found))
        if shape is None or (shape and all(int(n) == n > 0 for n in shape)):
            return shape
    except (ValueError, TypeError):
        pass
    raise DataError(f"shape {found!r} cannot be read; write it as in FILE?shape=28,28")


def to_numpy(array: Any, name: str) -> np.ndarray:
    """Brings a column to an array [n, ...], without objects.

    Args:
        array: an Arrow array: numbers, lists of equal length, or bytes.
        name: of the column, for errors.

    Raises:
        DataError: nulls, lists of unequal length, or another type.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    shape = [len(array)]
    while True:
        kind = array.type
        if array.null_count:
            raise DataError(f"column {name} holds nulls: remove or fill them")
        if pa.types.is_dictionary(kind):
            array = array.dictionary_decode()
        elif pa.types.is_boolean(kind):
            array = array.cast(pa.uint8())
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return np.asarray(array.to_numpy(zero_copy_only=False)).reshape(shape)
        elif _is_list(pa, kind) or _is_bytes(pa, kind):
            measure = pc.binary_length if _is_bytes(pa, kind) else pc.list_value_length
            sizes = pc.unique(measure(array)).to_pylist() or [1]
            if len(sizes) > 1 or not sizes[0]:
                raise DataError(
                    f"column {name} holds lists of {sorted(sizes)} values; all need "
                    "equally many, and at least one"
                )
            shape.append(sizes[0])
            if _is_bytes(pa, kind):
                joined = b"".join(array.to_pylist())
                return np.frombuffer(joined, np.uint8).reshape(shape)
            array = array.flatten()
        else:
            raise DataError(
                f"column {name} has type {kind}; allowed are numbers, lists and bytes"
            )


def _is_list(pa: Any, kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
    )


def _is_bytes(pa: Any, kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
    )
