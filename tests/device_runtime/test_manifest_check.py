"""Fields of a manifest that anyone may have written: named, shown, refused."""

from __future__ import annotations

import json

import pytest

from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.manifest_check import parse_json

from .test_contract import MANIFEST

BIG = 2**31 - 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 1),
        ("batch_size", 0),
        ("batch_size", True),
        ("batch_size", 20.0),
        ("input_shape", []),
        ("input_shape", [28, -28, 1]),
        ("input_shape", [28, None]),
        ("input_shape", [BIG // 20 + 1]),  # times a batch, no tensor can be so large
        ("input_dtype", "float64"),
        ("tokens", -1),
        ("fixed_batch", 1),
        ("features_shape", [0]),
        ("classes", []),
        ("classes", [1, 2]),
        ("frozen", [None]),
        ("notes", [{}]),
        ("weights", []),
        ("optimizer_settings", {"momentum": "0.9"}),
        ("ops", {"ADD": None}),
        ("provenance", []),
        ("cost", 3),
        ("cost", {"signatures": 5}),
        ("cost", {"signatures": {"train": 3}}),
        ("cost", {"signatures": {"train": {"batch": 1, "flops": 1, "by_op": {}}}}),
        ("cost", {"signatures": {}, "training_bytes": {"a": "b"}}),
        ("parity", {"x": 1}),
        ("parity", {"x": {"steps": 1, "loss": 0.0}}),
        ("parity", {"x": {"steps": 1, "loss": 0.0, "weights": {"w": {}}}}),
        ("certificate", "0" * 63),
        ("certificate", "G" * 64),
    ],
)
def test_wrong_field(field, value):
    fields = {**json.loads(MANIFEST.to_json()), field: value}
    with pytest.raises(ArtifactError, match=f"{field} is ") as caught:
        Manifest.from_json(json.dumps(fields).encode())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("within", "field", "value"),
    [
        ("policy", "trainable", None),
        ("policy", "learning_rate", 0),
        ("policy", "learning_rate", "0.1"),
        ("policy", "epochs", -1),
        ("policy", "epochs", 1.5),
        ("policy", "hold_out", 1.01),
        ("policy", "min_hold_out", None),
        ("policy", "margin", []),
        ("labels", "loss", "hinge"),
        ("labels", "shape", [0]),
    ],
)
def test_wrong_field_of_a_part(within, field, value):
    fields = json.loads(MANIFEST.to_json())
    fields[within][field] = value
    name = field if within == "policy" else within
    with pytest.raises(ArtifactError, match=f"{name} is "):
        Manifest.from_json(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"name": "w1"},  # stands twice
        {"name": "kernel"},
        {"layer": None},
        {"shape": []},
        {"shape": [2**16, 2**16]},
        {"shape": "784"},
    ],
)
def test_wrong_weight(change):
    fields = json.loads(MANIFEST.to_json())
    fields["weights"][0] |= change
    with pytest.raises(ArtifactError, match="weights is|list should be"):
        Manifest.from_json(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": NaN}', "not finite"),
        (b'{"a": -Infinity}', "not finite"),
        (b'{"a": 1e999}', "not finite"),
        (b'{"a": 18446744073709551616}', "64 bits"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "64 bits|digits"),
        (b'{"a": "\\ud800"}', "surrogates"),
        (b'{"\\ud800": 1}', "surrogates"),
        (b'{"a": "\xff"}', "utf-8"),
        (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "deep"),
        (b"[" * 100_000, "deep|Expecting"),
        (b'{"a": 1} x', "Extra data"),
    ],
)
def test_no_plain_json(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)
