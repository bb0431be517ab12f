import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="training needs the training install")

from fedp.training.models import (  # noqa: E402
    BUILDERS,
    ModelError,
    build_model,
    ends_in_softmax,
    loss_fn,
)

LAYERS = tf.keras.layers


def write_builder(folder, monkeypatch, body):
    """Makes `mine:build` importable from the current directory."""
    import sys

    text = "import tensorflow as tf\nL = tf.keras.layers\n"
    (folder / "mine.py").write_text(f"{text}def build(shape, classes):\n    {body}\n")
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "mine", raising=False)


def test_emnist_cnn_is_the_baseline():
    model = build_model("emnist_cnn", (28, 28), 62, seed=0)
    # 3*3*32+32, 3*3*32*64+64, 12*12*64*128+128, 128*62+62
    assert model.count_params() == 320 + 18_496 + 1_179_776 + 7_998
    assert model.input_shape == (None, 28, 28, 1)
    assert not ends_in_softmax(model)
    with_dropout = build_model("emnist_cnn_dropout", (28, 28, 1), 62, seed=0)
    rates = [la.rate for la in with_dropout.layers if isinstance(la, LAYERS.Dropout)]
    assert rates == [0.25, 0.5]


@pytest.mark.parametrize("name", BUILDERS)
def test_the_seed_fixes_the_initial_weights(name):
    first = build_model(name, (8, 8, 1), 5, seed=3).get_weights()
    again = build_model(name, (8, 8, 1), 5, seed=3).get_weights()
    other = build_model(name, (8, 8, 1), 5, seed=4).get_weights()
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_a_users_builder_is_found_in_the_current_directory(tmp_path, monkeypatch):
    body = "return tf.keras.Sequential([L.Input(shape), L.Dense(classes)])"
    write_builder(tmp_path, monkeypatch, body)
    assert build_model("mine:build", (7,), 3).output_shape == (None, 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "gave int"),
        ("raise ValueError('two\\nlines')", "cannot be built .* two lines"),
        ("return tf.keras.Sequential([L.Input(shape), L.Dense(9)])", r"\[None, 3\]"),
        ("return tf.keras.Sequential([L.Input((5,)), L.Dense(3)])", r"the data has"),
        ("return tf.keras.Sequential([L.Dense(3)])", "with an Input"),
        (
            "return tf.keras.Sequential("
            "[L.Input(shape), L.BatchNormalization(), L.Dense(3)])",
            "LayerNormalization",
        ),
        (
            "return tf.keras.Sequential([L.Input(shape), L.Dense(3, dtype='float64')])",
            "float32",
        ),
        (
            "a, b = L.Input(shape), L.Input(shape); "
            "return tf.keras.Model([a, b], L.Dense(3)(a + b))",
            "2 inputs",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_refused(tmp_path, monkeypatch, body, message):
    write_builder(tmp_path, monkeypatch, body)
    with pytest.raises(ModelError, match=message) as error:
        build_model("mine:build", (7,), 3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["resnet", "no_such_module:build", "os:nothing", ":f"])
def test_an_unknown_model_is_refused(name):
    with pytest.raises(ModelError, match=name):
        build_model(name, (7,), 3)


def softmax_models():
    inputs = LAYERS.Input((4,))
    inner = tf.keras.Sequential([LAYERS.Input((4,)), LAYERS.Dense(3, "softmax")])
    return [
        tf.keras.Sequential([inputs, LAYERS.Dense(3, activation="softmax")]),
        tf.keras.Sequential([inputs, LAYERS.Dense(3), LAYERS.Softmax()]),
        tf.keras.Sequential([inputs, LAYERS.Dense(3), LAYERS.Activation("softmax")]),
        tf.keras.Model(inputs, inner(inputs)),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_final_softmax_is_seen_and_its_loss_is_that_of_the_logits(number):
    model = softmax_models()[number]
    assert ends_in_softmax(model)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    y = np.array([0, 1, 2, 0, 1, 2], np.int32)
    expected = -np.log(model(x).numpy()[np.arange(6), y])
    np.testing.assert_allclose(loss_fn(model)(y, model(x)), expected, atol=1e-6)


def test_a_softmax_in_the_middle_does_not_count():
    model = tf.keras.Sequential(
        [LAYERS.Input((4,)), LAYERS.Dense(3, activation="softmax"), LAYERS.Dense(3)]
    )
    assert not ends_in_softmax(model)
