import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="training needs the training install")

from fedp.training.models import (  # noqa: E402
    BUILDERS,
    ModelError,
    accuracy_fn,
    build_model,
    loss_fn,
    takes_tokens,
)
from fedp.training.portable_graph import portable  # noqa: E402

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
    with_dropout = build_model("emnist_cnn_dropout", (28, 28, 1), 62, seed=0)
    rates = [la.rate for la in with_dropout.layers if isinstance(la, LAYERS.Dropout)]
    assert rates == [0.25, 0.5]


@pytest.mark.parametrize("name", BUILDERS)
def test_the_seed_fixes_the_initial_weights(name):
    shape = (6,) if name == "shakespeare_lstm" else (8, 8, 1)
    first = build_model(name, shape, 5, seed=3).get_weights()
    again = build_model(name, shape, 5, seed=3).get_weights()
    other = build_model(name, shape, 5, seed=4).get_weights()
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


def test_loss_of_a_softmax_is_that_of_its_logits():
    model = tf.keras.Sequential([LAYERS.Input((4,)), LAYERS.Dense(3, "softmax")])
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    y = np.array([0, 1, 2, 0, 1, 2], np.int32)
    expected = -np.log(model(x).numpy()[np.arange(6), y])
    np.testing.assert_allclose(loss_fn(model)(y, model(x)), expected, atol=1e-6)


def test_shakespeare_lstm_is_tffs_model():
    baselines = pytest.importorskip(
        "tensorflow_federated.python.simulation.baselines.shakespeare"
        ".char_prediction_models"
    )
    theirs = baselines.create_recurrent_model(vocab_size=90, sequence_length=80)
    ours = build_model("shakespeare_lstm", (80,), 90, seed=0, label_shape=(80,))
    assert ours.count_params() == theirs.count_params() == 820_522
    assert ours.output_shape == theirs.output_shape == (None, 80, 90)
    theirs.set_weights(ours.get_weights())
    # Windows end in padding, which TFF masks; before it, nothing differs.
    random = np.random.default_rng(0)
    x = random.integers(1, 90, (4, 80)).astype(np.int32)
    x[1, 30:], x[2, 1:] = 0, 0
    found, expected = ours(x).numpy(), theirs(x).numpy()
    np.testing.assert_allclose(found[x > 0], expected[x > 0], atol=1e-5)
    last = build_model("shakespeare_lstm", (80,), 90, seed=0)
    assert last.output_shape == (None, 90) and takes_tokens(last)
    np.testing.assert_allclose(last(x)[0], found[0, -1], atol=1e-5)
    assert not takes_tokens(build_model("mlp", (4,), 3))


def test_the_names_of_its_weights_do_not_depend_on_what_was_built_before():
    names = [
        [w.name for w in build_model("shakespeare_lstm", (5,), 9).trainable_variables]
        for _ in range(2)
    ]
    assert names[0] == names[1] and len(set(names[0])) == len(names[0])


@pytest.mark.parametrize("label_shape", [(), (12,)])
def test_a_step_of_the_lstm_is_the_same_in_another_graph(label_shape):
    model = build_model("shakespeare_lstm", (12,), 20, seed=1, label_shape=label_shape)
    variables, loss = model.trainable_variables, loss_fn(model)

    @tf.function
    def step(weights, x, y):
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)
        with tf.GradientTape() as tape:
            mean = tf.reduce_mean(loss(y, model(x, training=True)))
        return [mean, *map(tf.convert_to_tensor, tape.gradient(mean, variables))]

    weights = [variable.numpy() for variable in variables]
    specs = [tf.TensorSpec((None, 12), tf.int32)]
    specs.append(tf.TensorSpec((None, *label_shape), tf.int32))
    traced = step.get_concrete_function(
        [tf.TensorSpec(w.shape) for w in weights], *specs
    )
    random = np.random.default_rng(0)
    x, y = (
        random.integers(0, 20, (5, *s)).astype(np.int32) for s in ((12,), label_shape)
    )
    expected = step(weights, x, y)
    with tf.Graph().as_default():
        results = portable(traced)(*map(tf.constant, [*weights, x, y]))
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            found = session.run(results)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert any(np.abs(gradient).max() > 1e-3 for gradient in found[1:])


def test_labels_that_are_missing_count_neither_in_loss_nor_in_accuracy():
    model = tf.keras.Sequential(
        [LAYERS.Input((4,)), LAYERS.Reshape((4, 1)), LAYERS.Dense(3)]
    )
    outputs = np.random.default_rng(0).normal(size=(3, 4, 3)).astype(np.float32)
    y = np.array([[0, 1, 2, 0], [2, -1, 1, -1], [-1, -1, -1, -1]], np.int32)
    log_softmax = outputs - np.log(np.exp(outputs).sum(axis=-1, keepdims=True))
    losses, hits = np.zeros(3), np.zeros(3)
    for i, example in enumerate(y):
        steps = [(j, label) for j, label in enumerate(example) if label >= 0]
        if steps:
            losses[i] = np.mean([-log_softmax[i, j, label] for j, label in steps])
            hits[i] = np.mean([outputs[i, j].argmax() == label for j, label in steps])
    np.testing.assert_allclose(loss_fn(model)(y, outputs), losses, atol=1e-6)
    accuracy = accuracy_fn(model)(y, outputs)
    np.testing.assert_allclose(accuracy, hits, atol=1e-6)
    assert accuracy.dtype == tf.float32
    with tf.GradientTape() as tape:
        logits = tf.constant(outputs)
        tape.watch(logits)
        loss = tf.reduce_sum(loss_fn(model)(y, logits))
    gradient = tape.gradient(loss, logits).numpy()
    assert (np.abs(gradient).max(axis=-1) > 0).tolist() == (y >= 0).tolist()


def test_accuracy_of_one_label_an_example():
    model = build_model("mlp", (4,), 3)
    outputs = np.eye(3, dtype=np.float32)
    assert accuracy_fn(model)(np.array([0, 1, 1]), outputs).numpy().tolist() == [
        1,
        1,
        0,
    ]


def test_a_users_builder_may_ask_for_the_shape_of_the_labels(tmp_path, monkeypatch):
    body = "return tf.keras.Sequential([L.Input(shape), L.Embedding(9, classes)])"
    write_builder(tmp_path, monkeypatch, body)
    model = build_model("mine:build", (7,), 3, label_shape=(7,))
    assert model.output_shape == (None, 7, 3)
    with pytest.raises(
        ModelError, match=r"gives \[None, 7, 3\]; \[None, 3\] is needed"
    ):
        build_model("mine:build", (7,), 3)
    text = (tmp_path / "mine.py").read_text()
    text = text.replace("(shape, classes)", "(shape, classes, label_shape)")
    (tmp_path / "mine.py").write_text(
        text.replace("return", "assert label_shape == (7,); return")
    )
    monkeypatch.delitem(__import__("sys").modules, "mine")
    build_model("mine:build", (7,), 3, label_shape=(7,))


@pytest.mark.parametrize(
    ("shape", "label_shape"), [((28, 28), ()), ((80,), (79,)), ((), ())]
)
def test_shakespeare_lstm_takes_sequences_alone(shape, label_shape):
    with pytest.raises(ModelError, match="sequences of tokens"):
        build_model("shakespeare_lstm", shape, 90, label_shape=label_shape)
