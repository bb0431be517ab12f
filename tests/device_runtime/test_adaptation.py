import math
import pathlib

import numpy as np
import pytest

from fedp.device_runtime.adaptation import EXPLODED, Adaptation, adapt
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.budget import Budget, Meter
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.examples import as_model_input
from fedp.device_runtime.session import Session

from .conftest import make_examples

POLICY = Policy(learning_rate=0.02, epochs=3)


@pytest.fixture
def session(mlp_artifact: pathlib.Path) -> Session:
    return Session.open(*read_artifact(mlp_artifact))


def run(session: Session, count: int, policy: Policy = POLICY, **options) -> Adaptation:
    x, y = make_examples(count)
    options = {"batch_size": 20, **options}
    x = as_model_input(x, (28, 28, 1))
    return adapt(session, x, y.astype(np.int32), policy, **options)


def test_local_epochs(session: Session) -> None:
    told: list[tuple[int, float, Session]] = []
    done = run(session, 47, on_epoch=lambda *news: told.append(news))
    # 47 examples are batches of 20, 20 and 7: 3 steps in each of 3 epochs.
    assert (done.steps, done.epochs, done.stopped_by) == (9, 3, "epochs")
    assert len(done.losses) == 9 and done.finite
    assert [epoch for epoch, *_ in told] == [1, 2, 3]
    assert all(adapting is session for *_, adapting in told)
    # The mean over examples, not over batches.
    mean = (20 * done.losses[0] + 20 * done.losses[1] + 7 * done.losses[2]) / 47
    assert told[0][1] == pytest.approx(mean)
    assert told[2][1] < told[0][1]


def test_each_epoch_takes_every_example_once(session: Session) -> None:
    """With learning rate 0 the mean loss of an epoch is that of the whole data."""
    x, y = make_examples(33)
    losses, _ = session.evaluate(as_model_input(x, (28, 28, 1)), y.astype(np.int32))
    means: list[float] = []
    frozen = Policy(learning_rate=0.0, epochs=2)
    done = run(session, 33, frozen, on_epoch=lambda *news: means.append(news[1]))
    assert means == pytest.approx([losses.mean()] * 2, rel=1e-5)
    assert done.losses[0] != done.losses[2]  # The second epoch's order is another.


def test_looking_at_the_session_changes_nothing(session: Session) -> None:
    probe = as_model_input(make_examples(70)[0], (28, 28, 1))
    seen: list[np.ndarray] = []
    watched = run(session, 47, on_epoch=lambda *news: seen.append(news[2].infer(probe)))
    assert (seen[0] != seen[1]).any() and (seen[2] == session.infer(probe)).all()
    weights = session.save()
    session.reset()
    assert run(session, 47) == watched
    assert all((session.save()[name] == weights[name]).all() for name in weights)


def test_the_seed_decides(session: Session) -> None:
    def losses(seed: int) -> tuple[float, ...]:
        session.reset()
        return run(session, 50, seed=seed).losses

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


@pytest.mark.parametrize(
    ("budget", "steps", "epochs", "stopped_by"),
    [
        (Budget(steps=4), 4, 1, "steps"),
        (Budget(steps=0), 0, 0, "steps"),
        (Budget(steps=9), 9, 3, "epochs"),
        (Budget(seconds=0), 0, 0, "seconds"),
        (Budget(seconds=1e9), 9, 3, "epochs"),
    ],
)
def test_budget(
    session: Session, budget: Budget, steps: int, epochs: int, stopped_by: str
) -> None:
    done = run(session, 47, meter=Meter(budget))
    assert (done.steps, done.epochs, done.stopped_by) == (steps, epochs, stopped_by)


@pytest.mark.parametrize("stop", [1, 3, 4, 7])
def test_goes_on_from_where_it_stopped(session: Session, stop: int) -> None:
    """3 steps an epoch: in the middle of one, at its end, and later."""
    means: list[float] = []
    whole = run(session, 47, on_epoch=lambda *news: means.append(news[1]))
    weights = session.save()
    session.reset()
    told: list[float] = []
    first = run(
        session,
        47,
        meter=Meter(Budget(steps=stop)),
        on_epoch=lambda *news: told.append(news[1]),
    )
    held = session.save()
    session.reset()
    session.restore(held)
    rest = run(
        session,
        47,
        start=first.position,
        on_epoch=lambda *news: told.append(news[1]),
    )
    assert first.losses + rest.losses == whole.losses
    assert (rest.epochs, rest.stopped_by) == (3, "epochs")
    assert told == means
    assert all((session.save()[name] == weights[name]).all() for name in weights)


def test_no_examples(session: Session) -> None:
    before = session.save()
    done = run(session, 0)
    assert (done.steps, done.losses) == (0, ())
    assert all((session.save()[name] == before[name]).all() for name in before)


def test_divergence_stops_at_once(kind: str, mlp_artifact: pathlib.Path) -> None:
    session = Session.open(*read_artifact(mlp_artifact), kind)
    told: list[float] = []
    policy = Policy(learning_rate=1e30, epochs=50)
    done = run(session, 100, policy, on_epoch=lambda *news: told.append(news[1]))
    assert done.stopped_by == "loss" and not done.finite
    assert not math.isfinite(done.losses[-1])
    assert all(math.isfinite(loss) for loss in done.losses[:-1])
    assert done.steps == len(done.losses) < 10
    # The last epoch, which was not completed, is told of as well.
    assert len(told) == done.epochs + 1
    assert [math.isfinite(loss) for loss in told] == [True] * done.epochs + [False]


def test_an_exploding_loss_stops_at_once(session: Session) -> None:
    """Long before it is no number any more."""
    told: list[float] = []
    policy = Policy(learning_rate=3e4, epochs=50)
    done = run(session, 100, policy, on_epoch=lambda *news: told.append(news[1]))
    assert done.stopped_by == "loss"
    assert math.isfinite(done.losses[-1])
    assert done.losses[-1] > EXPLODED * done.losses[0]
    assert all(loss <= EXPLODED * done.losses[0] for loss in done.losses[:-1])
    assert told[-1] == math.inf
