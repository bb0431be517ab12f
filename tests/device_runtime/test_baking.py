"""Baking: the live weights' predictions, in a file that any TFLite app can run."""

import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime import Budget, Personalizer, Session, read_artifact, serving
from fedp.device_runtime.baking import bake, initial_weights
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.examples import as_model_input
from fedp.device_runtime.inference_model import InferenceModel
from fedp.device_runtime.interpreter import load_interpreter
from fedp.device_runtime.skeleton import LIVE, Cut, Skeleton, read_skeleton
from fedp.device_runtime.tflite_buffers import BufferReader
from fedp.device_runtime.weights import to_blob

from .conftest import make_examples

X, Y = make_examples(80)
INPUTS, LABELS = as_model_input(X, (28, 28, 1)), Y.astype(np.int32)


@pytest.fixture(params=["mlp_artifact", "cnn_artifact"])
def artifact(request: pytest.FixtureRequest) -> pathlib.Path:
    return request.getfixturevalue(request.param)


def parts_of(artifact: pathlib.Path) -> tuple[bytes, Skeleton]:
    _, content = read_artifact(artifact)
    skeleton = read_skeleton(content)
    assert skeleton is not None
    return content, skeleton


def test_baked_is_what_the_session_predicts(kind: str, artifact: pathlib.Path) -> None:
    """Before and after training, at every size of a batch, within 1e-5."""
    content, skeleton = parts_of(artifact)
    manifest, _ = read_artifact(artifact)
    session = Session.open(manifest, content, kind)
    for _ in range(2):
        weights = to_blob(session.save(), manifest.weights)
        served = InferenceModel(bake(content, skeleton, weights), kind)
        for count in (1, 7, 20, 1, 80, 0):
            found, expected = (
                served.infer(INPUTS[:count]),
                session.infer(INPUTS[:count]),
            )
            assert found.shape == expected.shape and found.dtype == np.float32
            assert np.abs(found - expected).max(initial=0) < 1e-5
        for _ in range(5):
            ones = np.ones(20, np.float32)
            session.train_step(INPUTS[:20], LABELS[:20], ones, 0.1)
    assert to_blob(session.save(), manifest.weights) != weights


def test_memory_layout_does_not_matter(kind: str, mlp_artifact: pathlib.Path) -> None:
    content, skeleton = parts_of(mlp_artifact)
    weights = initial_weights(content, skeleton)
    served = InferenceModel(bake(content, skeleton, weights), kind)
    strided = np.repeat(np.asfortranarray(INPUTS), 2, axis=0)[::2]
    assert (served.infer(strided) == served.infer(INPUTS)).all()


def test_initial_weights_need_no_interpreter(artifact: pathlib.Path) -> None:
    manifest, content = read_artifact(artifact)
    session = Session.open(manifest, content)
    found = initial_weights(*parts_of(artifact))
    assert found == to_blob(session.save(), manifest.weights)


def test_stock_apps_can_run_it(kind: str, artifact: pathlib.Path) -> None:
    """One signature, which then needs no name, and constants aligned as they ask."""
    content, skeleton = parts_of(artifact)
    weights = initial_weights(content, skeleton)
    baked = bake(content, skeleton, weights)
    interpreter = load_interpreter(baked, kind, one_signature=True)
    assert interpreter.inputs("serving_default") == ["x"]
    (name,) = interpreter.run("serving_default", x=INPUTS[:3])
    assert name == "output"
    buffers = BufferReader(baked)
    begins = [buffers.range(number)[0] for number in range(len(buffers))]
    assert all(begin % 16 == 0 for begin in begins)
    assert len(baked) < len(weights) + 5_000


def test_personalizer_serves_it_and_gives_it_away(
    kind: str, mlp_artifact: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Personalizer.open(mlp_artifact, interpreter=kind) as device:
        before = device.predict(X)
        given = [device.bake()]
        assert device.personalize(X, Y, budget=Budget(epochs=20)).decision == "keep"
        given.append(device.bake())
        predicted = [before, device.predict(X)]
        device.rollback()
        assert device.bake() == given[0]
    for content, expected in zip(given, predicted):
        assert (InferenceModel(content, kind).infer(INPUTS) == expected).all()
    monkeypatch.setattr(serving, "read_skeleton", lambda content: None)
    with Personalizer.open(mlp_artifact, interpreter=kind) as device:
        assert np.abs(device.predict(X) - before).max() < 1e-5
        assert device.personalize(X, Y, budget=Budget(epochs=20)).decision == "keep"
        assert np.abs(device.predict(X) - predicted[1]).max() < 1e-5
        with pytest.raises(ArtifactError, match="export the model with this fedp"):
            device.bake()


def test_initial_model_whose_weights_lie_nowhere(
    mlp_artifact: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Personalizer.open(mlp_artifact) as device:
        expected = device.bake()
    monkeypatch.setattr(serving, "initial_weights", lambda *given: None)
    with Personalizer.open(mlp_artifact) as device:
        assert device.bake() == expected


SOURCE = np.arange(24, dtype="<u4")
FILE = b"\0\0\0\0TFL3 a file without weights"


@pytest.mark.parametrize(
    ("cut", "numbers"),
    [
        (Cut(0, LIVE, 3, (), ()), [3]),
        (Cut(0, LIVE, 0, (4,), (1,)), [0, 1, 2, 3]),
        (Cut(0, LIVE, 2, (2, 3), (1, 8)), [[2, 10, 18], [3, 11, 19]]),
        (Cut(0, LIVE, 23, (3,), (-2,)), [23, 21, 19]),
        (Cut(0, LIVE, 5, (2, 2), (0, 1)), [[5, 6], [5, 6]]),
        (Cut(0, LIVE, 5, (1, 2), (10**30, 1)), [5, 6]),
    ],
)
def test_cuts(cut: Cut, numbers: list) -> None:
    assert (cut.fill(SOURCE) == np.array(numbers)).all()


@pytest.mark.parametrize(
    "cut",
    [
        Cut(0, LIVE, 24, (), ()),
        Cut(0, LIVE, -1, (), ()),
        Cut(0, LIVE, 0, (25,), (1,)),
        Cut(0, LIVE, 2, (2,), (-3,)),
        Cut(0, LIVE, 0, (0,), (1,)),
        Cut(0, LIVE, 0, (2, 3), (1, 23)),
    ],
)
def test_cuts_beyond_their_source(cut: Cut) -> None:
    with pytest.raises(ArtifactError, match="inconsistent"):
        cut.fill(SOURCE)


def test_pieces_are_joined_in_order(mlp_artifact: pathlib.Path) -> None:
    _, content = read_artifact(mlp_artifact)
    cuts = (Cut(8, LIVE, 1, (2,), (1,)), Cut(20, LIVE, 0, (1,), (1,)))
    skeleton = Skeleton(len(FILE) + 12, SOURCE.nbytes, None, (), cuts, FILE)
    assert Skeleton.unpack(skeleton.pack()) == skeleton
    baked = bake(content, skeleton, SOURCE.tobytes())
    numbers = SOURCE.tobytes()
    assert baked == FILE[:8] + numbers[4:12] + FILE[8:12] + numbers[:4] + FILE[12:]
    with pytest.raises(ArtifactError, match="92 bytes of weights for 96"):
        bake(content, skeleton, SOURCE[1:].tobytes())


def test_halves_are_widened_and_not_read_beyond(mlp_artifact: pathlib.Path) -> None:
    _, content = read_artifact(mlp_artifact)
    buffers = BufferReader(content)
    begin, end = max(map(buffers.range, range(len(buffers))), key=lambda r: r[1] - r[0])
    number = [buffers.range(n)[0] for n in range(len(buffers))].index(begin)
    halves = np.frombuffer(content[begin:end], "<f2")
    for last, fits in ((len(halves) - 1, True), (len(halves), False)):
        cut = Cut(8, number, last, (), ())
        skeleton = Skeleton(len(FILE) + 4, 0, None, (number,), (cut,), FILE)
        if fits:
            expected = halves[-1:].astype("<f4").tobytes()
            assert bake(content, skeleton, b"")[8:12] == expected
        else:
            with pytest.raises(ArtifactError, match="inconsistent"):
                bake(content, skeleton, b"")


@pytest.mark.parametrize("content", [b"", b"\5\0\0\0{}", b"\2\0\0\0{}", b"\2\0\0\0[]"])
def test_no_skeleton_at_all(content: bytes) -> None:
    with pytest.raises(ArtifactError, match="inconsistent"):
        Skeleton.unpack(content)


small = st.integers(-3, 40)
cuts = st.builds(
    Cut,
    small,
    st.integers(-2, 3) | st.just(10**9),
    small,
    st.lists(st.integers(-1, 5), max_size=3).map(tuple),
    st.lists(small | st.just(10**20), max_size=3).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(
    size=st.integers(0, 200),
    initial=st.none() | st.lists(small, max_size=3).map(tuple),
    halves=st.lists(small, max_size=3).map(tuple),
    cuts=st.lists(cuts, max_size=3).map(tuple),
    garbage=st.binary(max_size=4),
)
def test_any_skeleton_is_baked_or_an_artifact_error(
    mlp_artifact: pathlib.Path,
    size: int,
    initial: tuple[int, ...] | None,
    halves: tuple[int, ...],
    cuts: tuple[Cut, ...],
    garbage: bytes,
) -> None:
    content = mlp_artifact.read_bytes()
    packed = Skeleton(size, SOURCE.nbytes, initial, halves, cuts, FILE).pack() + garbage
    for changed in (packed, packed[: len(packed) // 2], garbage + packed):
        try:
            skeleton = Skeleton.unpack(changed)
            assert len(bake(content, skeleton, SOURCE.tobytes())) == size
            initial_weights(content, skeleton)
        except ArtifactError as error:
            assert "\n" not in str(error)
