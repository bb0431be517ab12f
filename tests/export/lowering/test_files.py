"""Converted models on every interpreter: one file, any batch, in one partition."""

from __future__ import annotations

import pytest
import tensorflow as tf

from fedp.export.delegation import partitions

layers = tf.keras.layers


def conv(filters, window, strides=1, padding="same", **options):
    return layers.Conv2D(
        filters, window, strides, padding, activation="relu", **options
    )


MODELS = {
    "planes": ((15, 12, 1), [conv(5, 3), conv(6, 3), layers.MaxPool2D(), conv(4, 3)]),
    "same numbers of channels": ((8, 8, 4), [conv(4, 3), conv(4, 3), conv(4, 3)]),
    "windows": ((12, 13, 3), [conv(8, 5), layers.MaxPool2D(), conv(8, 5), conv(4, 2)]),
    "strides": ((13, 13, 3), [conv(8, 3, 2), conv(8, 3, 2), conv(8, 1, 2)]),
    "one by one": ((8, 8, 3), [conv(4, 1), conv(4, 1), layers.AvgPool2D(3, 2)]),
    "depthwise": (
        (9, 8, 3),
        [conv(4, 3, 2), layers.SeparableConv2D(8, 3, padding="same")],
    ),
    "dilated": ((9, 8, 3), [conv(4, 3), conv(4, 3, dilation_rate=2)]),
    "one dimension": (
        (16, 6),
        [
            layers.Conv1D(8, 3, activation="relu"),
            layers.MaxPool1D(),
            layers.Conv1D(8, 3, dilation_rate=2),
            layers.GlobalMaxPool1D(),
        ],
    ),
    "global average": ((9, 8, 3), [conv(4, 3), layers.GlobalAveragePooling2D()]),
}


@pytest.mark.parametrize("name", MODELS)
def test_file(name, compare_files, network):
    shape, middle = MODELS[name]
    content = compare_files(network(*middle, shape=shape), sizes=(1, 7, 20))
    assert partitions(content) in (1, None)
