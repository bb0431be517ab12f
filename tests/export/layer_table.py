"""The support table: what trains on a device, each line with models that prove it.

`docs/layers.md` is written from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf

layers = tf.keras.layers

VECTOR, SEQUENCE, IMAGE = (7,), (5, 6), (6, 5, 4)
TOKENS = 11


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        layer: Keras name, or several.
        settings: which of its settings; Markdown.
        cases: models by name, made when asked for.
        note: what differs on a device.
        random: it draws random numbers.
    """

    layer: str
    settings: str
    cases: Mapping[str, Callable[[], tf.keras.Model]]
    note: str = ""
    random: bool = False


def through(shape, *middle) -> tf.keras.Model:
    """Weights before the layers and after them, so that gradients pass."""
    tf.keras.utils.set_random_seed(3)
    first = layers.Dense(shape[-1], bias_initializer="random_normal")
    last = [layers.Flatten(), layers.Dense(4)]
    return tf.keras.Sequential([layers.Input(shape), first, *middle, *last])


def branches(shape, join, count: int = 2) -> tf.keras.Model:
    """Dense branches that `join` brings together."""
    tf.keras.utils.set_random_seed(3)
    x = layers.Input(shape)
    parts = [layers.Dense(shape[-1], activation="tanh")(x) for _ in range(count)]
    return tf.keras.Model(x, layers.Dense(4)(layers.Flatten()(join(parts))))


def functional(shape, body) -> tf.keras.Model:
    """A model of whatever `body` does with the output of a dense layer."""
    tf.keras.utils.set_random_seed(3)
    x = layers.Input(shape)
    y = body(layers.Dense(shape[-1], bias_initializer="random_normal")(x))
    return tf.keras.Model(x, layers.Dense(4)(layers.Flatten()(y)))


def joined(make) -> dict[str, Callable[[], tf.keras.Model]]:
    """A merging layer over two or three branches."""
    return {
        "vectors": lambda: branches(VECTOR, make()),
        "images": lambda: branches(IMAGE, make(), 2),
    }


def three(make) -> dict[str, Callable[[], tf.keras.Model]]:
    return joined(make) | {"three": lambda: branches(SEQUENCE, make(), 3)}


def over(make, *shapes) -> dict[str, Callable[[], tf.keras.Model]]:
    """A layer on inputs of each shape."""
    return {
        f"rank {len(shape) + 1}": lambda shape=shape: through(shape, make())
        for shape in shapes
    }


def each(shape, **makers) -> dict[str, Callable[[], tf.keras.Model]]:
    """Settings of a layer by name, on inputs of one shape."""
    return {
        name.replace("_", " "): lambda make=make: through(shape, make())
        for name, make in makers.items()
    }


def ends(units: int, activation: str | None, *middle, shape=VECTOR) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(3)
    first = [layers.Input(shape), layers.Dense(6, activation="tanh"), *middle]
    return tf.keras.Sequential([*first, layers.Dense(units, activation=activation)])


def activation(name, **settings) -> dict[str, Callable[[], tf.keras.Model]]:
    """An activation inside of Dense, and as a layer on an image."""
    function = getattr(tf.keras.activations, name)

    def call(x):
        return function(x, **settings)

    chosen = call if settings else name
    return {
        "dense": lambda: through(VECTOR, layers.Dense(9, activation=chosen)),
        "layer": lambda: through(IMAGE, layers.Activation(chosen)),
    }


def _standardized(make):
    """Batch normalization with statistics that are not those of a new layer."""
    layer = make()
    model = through(IMAGE if layer.axis != [1] else SEQUENCE, layer)
    for number, variable in enumerate(layer.variables):
        shape = variable.shape
        variable.assign(tf.random.uniform(shape, 0.5, 1.5, seed=number + 1))
    return model


def batch_norm(**settings):
    return lambda: _standardized(lambda: layers.BatchNormalization(**settings))


def _adapted():
    layer = layers.Normalization(mean=[0.5] * 6, variance=[2.0] * 6)
    tf.keras.utils.set_random_seed(3)
    return tf.keras.Sequential(
        [layers.Input((5, 6)), layer, layers.Flatten(), layers.Dense(4)]
    )


def _residual():
    def block(x):
        y = layers.Dense(x.shape[-1], activation="relu")(x)
        return layers.LayerNormalization()(layers.Add()([x, layers.Dropout(0.0)(y)]))

    return functional(SEQUENCE, lambda x: block(block(x)))


def _nested():
    inner = through(VECTOR, layers.LayerNormalization())
    outer = tf.keras.Sequential([layers.Input((4,)), layers.Dense(6, "relu")])
    x = layers.Input(VECTOR)
    return tf.keras.Model(x, layers.Dense(4)(outer(layers.ReLU()(inner(x)))))


def _shared():
    dense = layers.Dense(6, activation="tanh")
    return functional(SEQUENCE, lambda x: dense(dense(x)))


def _attention():
    def attend(x):
        return layers.MultiHeadAttention(2, 3)(x, x)

    return functional(SEQUENCE, attend)


def _causal():
    def attend(x):
        return layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)

    return functional(SEQUENCE, attend)


def _tokens(*middle):
    tf.keras.utils.set_random_seed(3)
    first = [layers.Input((5,), dtype="int32"), layers.Embedding(TOKENS, 6)]
    return tf.keras.Sequential([*first, *middle, layers.Flatten(), layers.Dense(4)])


TABLE = (
    Row(
        "Dense",
        "any activation below; inputs of any rank",
        over(lambda: layers.Dense(5, activation="relu"), VECTOR, SEQUENCE, IMAGE)
        | each(VECTOR, no_bias=lambda: layers.Dense(5, use_bias=False))
        | each(SEQUENCE, bare=lambda: layers.Dense(5, use_bias=False)),
    ),
    Row(
        "Conv1D, Conv2D",
        "any `kernel_size`, `strides`, `padding`; channels last",
        each(
            IMAGE,
            images=lambda: layers.Conv2D(3, 3, activation="relu"),
            strides=lambda: layers.Conv2D(3, (2, 3), strides=2, padding="same"),
        )
        | each(
            SEQUENCE,
            sequences=lambda: layers.Conv1D(3, 3, strides=2, padding="same"),
            causal=lambda: layers.Conv1D(3, 2, padding="causal"),
        ),
    ),
    Row(
        "Conv1D, Conv2D, dilated",
        "any `dilation_rate`",
        each(IMAGE, images=lambda: layers.Conv2D(3, 2, dilation_rate=(2, 3)))
        | each(SEQUENCE, sequences=lambda: layers.Conv1D(3, 2, dilation_rate=2)),
    ),
    Row(
        "DepthwiseConv2D, DepthwiseConv1D, SeparableConv1D, SeparableConv2D",
        "any `depth_multiplier`, `strides`, `padding`; channels last",
        each(
            IMAGE,
            depthwise=lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
            separable=lambda: layers.SeparableConv2D(3, 3, padding="same"),
        )
        | each(
            SEQUENCE,
            depthwise_1=lambda: layers.DepthwiseConv1D(3),
            separable_1=lambda: layers.SeparableConv1D(3, 3),
        ),
    ),
    Row(
        "Conv1DTranspose, Conv2DTranspose",
        "channels last",
        each(IMAGE, images=lambda: layers.Conv2DTranspose(3, 3, strides=2))
        | each(SEQUENCE, sequences=lambda: layers.Conv1DTranspose(3, 2)),
    ),
    Row(
        "MaxPooling1D, MaxPooling2D",
        "any `pool_size`, `strides`, `padding`",
        each(
            IMAGE,
            images=layers.MaxPooling2D,
            overlapping=lambda: layers.MaxPooling2D(3, 2, "same"),
        )
        | each(SEQUENCE, sequences=layers.MaxPooling1D),
    ),
    Row(
        "AveragePooling1D, AveragePooling2D",
        "any `pool_size`, `strides`, `padding`",
        each(
            IMAGE,
            images=layers.AveragePooling2D,
            overlapping=lambda: layers.AveragePooling2D(3, 2, "same"),
        )
        | each(SEQUENCE, sequences=layers.AveragePooling1D),
    ),
    Row(
        "GlobalMaxPooling, GlobalAveragePooling, 1D and 2D",
        "any settings",
        each(
            IMAGE,
            max=layers.GlobalMaxPooling2D,
            average=layers.GlobalAveragePooling2D,
            kept=lambda: layers.GlobalAveragePooling2D(keepdims=True),
        )
        | each(
            SEQUENCE,
            max_1=layers.GlobalMaxPooling1D,
            average_1=layers.GlobalAveragePooling1D,
        ),
    ),
    Row(
        "UpSampling1D, ZeroPadding2D",
        "any settings",
        each(SEQUENCE, up=lambda: layers.UpSampling1D(2))
        | each(IMAGE, pad=lambda: layers.ZeroPadding2D(((1, 0), (2, 1)))),
    ),
    Row(
        "LSTM, GRU, SimpleRNN, Bidirectional",
        "unrolled over the Input's steps",
        each(
            SEQUENCE,
            lstm=lambda: layers.LSTM(4),
            gru=lambda: layers.GRU(4, return_sequences=True),
            simple=lambda: layers.SimpleRNN(4),
            both_ways=lambda: layers.Bidirectional(layers.LSTM(3)),
        ),
    ),
    Row(
        "Embedding",
        "int32 tokens; `mask_zero` is honoured by recurrent layers",
        {"tokens": _tokens},
    ),
    Row(
        "EinsumDense",
        "two-operand equations in single letters",
        each(
            SEQUENCE,
            steps=lambda: layers.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d"),
            mixed=lambda: layers.EinsumDense("abc,bcd->ad", (5,), bias_axes="d"),
            heads=lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 4)),
        ),
    ),
    Row(
        "LocallyConnected1D, LocallyConnected2D",
        "`implementation=1`",
        each(SEQUENCE, one=lambda: layers.LocallyConnected1D(3, 2))
        | each(IMAGE, two=lambda: layers.LocallyConnected2D(2, 3, strides=2)),
    ),
    Row(
        "TimeDistributed",
        "of what trains",
        each(
            SEQUENCE,
            dense=lambda: layers.TimeDistributed(layers.Dense(3, activation="relu")),
        ),
    ),
    Row(
        "Activation, ActivityRegularization, Lambda",
        "of functions below",
        {
            "lambda": lambda: through(VECTOR, layers.Lambda(lambda x: x * 2.0)),
            "regularized": lambda: through(VECTOR, layers.ActivityRegularization(0.1)),
        },
        "regularizers' losses do not count",
    ),
    Row(
        "LayerNormalization",
        "any `axis`, `epsilon`, `center`, `scale`",
        over(layers.LayerNormalization, VECTOR, SEQUENCE, IMAGE)
        | each(
            IMAGE,
            all_axes=lambda: layers.LayerNormalization(axis=[1, 2, 3]),
            first_axis=lambda: layers.LayerNormalization(axis=1),
            bare=lambda: layers.LayerNormalization(center=False, scale=False),
            coarse=lambda: layers.LayerNormalization(epsilon=0.01),
        ),
    ),
    Row(
        "BatchNormalization",
        "any `axis`, `epsilon`, `center`, `scale`",
        {
            "images": batch_norm(),
            "bare": batch_norm(center=False, scale=False),
            "center": batch_norm(scale=False),
            "sequences": batch_norm(axis=1),
            "vectors": lambda: through(VECTOR, layers.BatchNormalization()),
        },
        "gamma and beta train; the moving statistics are frozen on the device",
    ),
    Row(
        "GroupNormalization",
        "any `groups`, `axis`, `center`, `scale`",
        each(
            IMAGE,
            two=lambda: layers.GroupNormalization(2),
            instance=lambda: layers.GroupNormalization(-1),
            bare=lambda: layers.GroupNormalization(1, center=False, scale=False),
        )
        | over(lambda: layers.GroupNormalization(3), SEQUENCE),
    ),
    Row(
        "UnitNormalization", "any `axis`", over(layers.UnitNormalization, VECTOR, IMAGE)
    ),
    Row(
        "Dropout",
        "any `rate` and `noise_shape`",
        over(lambda: layers.Dropout(0.4), VECTOR, IMAGE)
        | each(SEQUENCE, steps=lambda: layers.Dropout(0.4, noise_shape=(None, 5, 1))),
        "fixed seeds",
        random=True,
    ),
    Row(
        "SpatialDropout1D to 3D",
        "any `rate`",
        over(lambda: layers.SpatialDropout1D(0.4), SEQUENCE)
        | over(lambda: layers.SpatialDropout2D(0.4), IMAGE),
        "fixed seeds",
        random=True,
    ),
    Row(
        "GaussianNoise, GaussianDropout, AlphaDropout",
        "any `rate` and `stddev`",
        each(
            SEQUENCE,
            noise=lambda: layers.GaussianNoise(0.3),
            dropout=lambda: layers.GaussianDropout(0.3),
            alpha=lambda: layers.AlphaDropout(0.3),
        ),
        "fixed seeds",
        random=True,
    ),
    *(
        Row(f"activation `{name}`", "", activation(name))
        for name in (
            "elu exponential gelu hard_sigmoid linear relu selu sigmoid softmax "
            "softplus softsign swish tanh"
        ).split()
    ),
    Row(
        "activation `relu` with settings",
        "`max_value`, `negative_slope`, `threshold`",
        activation("relu", max_value=0.4)
        | {
            f"{k} {name}": make
            for k, settings in {
                "slope": {"alpha": 0.1},
                "threshold": {"threshold": 0.2},
                "all": {"alpha": 0.1, "max_value": 0.7, "threshold": 0.2},
            }.items()
            for name, make in activation("relu", **settings).items()
        },
    ),
    Row("activation `gelu`, approximate", "", activation("gelu", approximate=True)),
    Row("activation `elu` with settings", "`alpha`", activation("elu", alpha=0.5)),
    Row(
        "ReLU, LeakyReLU, PReLU, ELU, ThresholdedReLU, Softmax",
        "any settings",
        each(
            IMAGE,
            relu=layers.ReLU,
            relu6=lambda: layers.ReLU(6.0),
            relu_low=lambda: layers.ReLU(0.3),
            relu_slope=lambda: layers.ReLU(negative_slope=0.2),
            relu_threshold=lambda: layers.ReLU(threshold=0.2),
            relu_all=lambda: layers.ReLU(0.7, 0.2, 0.1),
            leaky=layers.LeakyReLU,
            leaky_low=lambda: layers.LeakyReLU(0.01),
            prelu=lambda: layers.PReLU("random_normal"),
            prelu_shared=lambda: layers.PReLU("random_normal", shared_axes=[1, 2]),
            elu=layers.ELU,
            elu_low=lambda: layers.ELU(0.3),
            thresholded=lambda: layers.ThresholdedReLU(0.2),
            softmax=layers.Softmax,
            softmax_axis=lambda: layers.Softmax(axis=1),
            softmax_axes=lambda: layers.Softmax(axis=[1, 2]),
            tf_relu6=lambda: layers.Activation(tf.nn.relu6),
            tf_leaky=lambda: layers.Activation(tf.nn.leaky_relu),
        ),
    ),
    Row(
        "Add, Average, Multiply, Maximum, Minimum",
        "two or more inputs",
        {
            f"{kind.__name__} {name}": make
            for kind in (
                layers.Add,
                layers.Average,
                layers.Multiply,
                layers.Maximum,
                layers.Minimum,
            )
            for name, make in three(kind).items()
        },
    ),
    Row("Subtract", "", joined(layers.Subtract)),
    Row(
        "Concatenate",
        "any `axis`",
        three(layers.Concatenate)
        | {"axis 1": lambda: branches(SEQUENCE, layers.Concatenate(axis=1), 3)}
        | {"axis 2": lambda: branches(IMAGE, layers.Concatenate(axis=2), 2)},
    ),
    Row(
        "Dot",
        "any `axes` and `normalize`",
        {
            "vectors": lambda: branches(VECTOR, layers.Dot(1)),
            "cosine": lambda: branches(VECTOR, layers.Dot(1, normalize=True)),
            "sequences": lambda: branches(SEQUENCE, layers.Dot(2)),
            "steps": lambda: branches(SEQUENCE, layers.Dot(1)),
        },
    ),
    Row(
        "Flatten, Reshape, Permute, RepeatVector, Cropping1D and 2D, ZeroPadding1D",
        "any settings",
        each(IMAGE, flatten=layers.Flatten, reshape=lambda: layers.Reshape((12, -1)))
        | each(IMAGE, permute=lambda: layers.Permute((3, 1, 2)))
        | each(SEQUENCE, crop=lambda: layers.Cropping1D((1, 2)))
        | each(IMAGE, crop_2=lambda: layers.Cropping2D(((1, 2), (0, 1))))
        | each(SEQUENCE, pad=lambda: layers.ZeroPadding1D((1, 2)))
        | each(VECTOR, repeat=lambda: layers.RepeatVector(3)),
    ),
    Row(
        "Rescaling, Normalization",
        "constant or adapted statistics",
        each(IMAGE, rescaling=lambda: layers.Rescaling(1 / 3, offset=-0.5))
        | {"adapted": _adapted},
        "Normalization's statistics are weights that stay",
    ),
    Row(
        "MultiHeadAttention, Attention, AdditiveAttention",
        "self-attention; with a causal mask too; no other masks",
        {
            "heads": _attention,
            "causal": _causal,
            "dot": lambda: functional(SEQUENCE, lambda x: layers.Attention()([x, x])),
            "scaled": lambda: functional(
                SEQUENCE, lambda x: layers.Attention(use_scale=False)([x, x])
            ),
            "additive": lambda: functional(
                SEQUENCE, lambda x: layers.AdditiveAttention()([x, x])
            ),
        },
    ),
    Row(
        "models",
        "Sequential and functional; residuals, branches, shared layers, nested models",
        {"residual": _residual, "nested": _nested, "shared": _shared},
    ),
    Row(
        "TensorFlow functions in a functional model",
        "`+ - * /`, powers, `abs`, `exp`, `log`, `sqrt`, `square`, `maximum`, "
        "`minimum`, `clip_by_value`, `matmul`, `reduce_sum`, `reduce_mean`, "
        "`reduce_max`, `concat`, `stack`, `reshape`, `transpose`, slices, `tf.nn` "
        "activations",
        {
            name: lambda body=body: functional(SEQUENCE, body)
            for name, body in {
                "add": lambda x: x + 2 * x,
                "scale": lambda x: x * 2.0 - 1.0,
                "divide": lambda x: x / (tf.abs(x) + 1.0),
                "reciprocal": lambda x: 1.0 / (2.0 + tf.square(x)),
                "power": lambda x: (1.0 + x * x) ** 1.5,
                "square": lambda x: tf.square(x) + x**2,
                "logarithm": lambda x: tf.math.log(1.0 + tf.exp(-x)),
                "log1p": lambda x: tf.math.log1p(tf.square(x)),
                "sqrt": lambda x: tf.sqrt(1.0 + x * x),
                "rsqrt": lambda x: tf.math.rsqrt(1.0 + x * x),
                "maximum": lambda x: tf.maximum(x, 0.1) + tf.minimum(x, 0.2),
                "clip": lambda x: tf.clip_by_value(x, -0.2, 0.3),
                "relu": lambda x: tf.nn.relu(x) + tf.nn.relu6(x),
                "leaky": lambda x: tf.nn.leaky_relu(x, 0.1),
                "nn": lambda x: tf.nn.gelu(x) + tf.nn.silu(x) + tf.nn.elu(x),
                "sine": lambda x: tf.sin(x) + tf.cos(x),
                "softmax": lambda x: tf.nn.softmax(x) + tf.nn.log_softmax(x),
                "matmul": lambda x: tf.matmul(x, x, transpose_b=True),
                "mean": lambda x: x - tf.reduce_mean(x, axis=-1, keepdims=True),
                "sum": lambda x: x * tf.reduce_sum(x, axis=1, keepdims=True),
                "max": lambda x: x - tf.reduce_max(x, axis=1, keepdims=True),
                "slice": lambda x: x[:, 1:3, :2],
                "index": lambda x: x[:, -1],
                "stride": lambda x: x[:, ::2] + x[:, 0:5:2],
                "strides": lambda x: x[:, 1::3, 1:6:4],
                "ellipsis": lambda x: x[..., 1] * x[..., -1],
                "new axis": lambda x: x[:, tf.newaxis, 1:] * 2.0,
                "cumulative": lambda x: tf.cumsum(x, axis=1),
                "concat": lambda x: tf.concat([x, tf.tanh(x)], axis=1),
                "stack": lambda x: tf.stack([x, tf.tanh(x)], axis=2),
                "transpose": lambda x: tf.transpose(x, [0, 2, 1]),
                "reshape": lambda x: tf.reshape(x, [-1, 30]),
                "expand": lambda x: tf.expand_dims(x, 1) * 2.0,
                "l2": lambda x: tf.math.l2_normalize(x, axis=-1),
            }.items()
        },
    ),
)

# Loss, its model and the shape of the examples' labels.
LOSSES = {
    "classes": ("sparse_categorical_crossentropy", lambda: ends(5, None)),
    "classes, softmax": ("sparse_categorical_crossentropy", lambda: ends(5, "softmax")),
    "sequence": (
        "sparse_categorical_crossentropy",
        lambda: ends(5, None, shape=SEQUENCE),
    ),
    "sequence, softmax": (
        "sparse_categorical_crossentropy",
        lambda: ends(5, "softmax", shape=SEQUENCE),
    ),
    "binary": ("binary_crossentropy", lambda: ends(1, None)),
    "binary, sigmoid": ("binary_crossentropy", lambda: ends(1, "sigmoid")),
    "squared": ("mean_squared_error", lambda: ends(3, None)),
    "squared, sequence": (
        "mean_squared_error",
        lambda: ends(3, "tanh", shape=SEQUENCE),
    ),
}
