"""A run on disk: the stages of a configuration, one after the other.

By default that is Algorithm 2 of Jiang et al. 2019: FedAvg(E), then Reptile(K). Its
stage 3, personalization, happens on devices; here it is only measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from fedp.device_runtime.errors import RunError
from fedp.training.algorithms import algorithm_of
from fedp.training.centralized import build_centralized
from fedp.training.checkpoints import (
    drop_checkpoints,
    read_checkpoint,
    write_checkpoint,
)
from fedp.training.client_optimizers import client_optimizer_of
from fedp.training.configuration import Stage, TrainingConfig
from fedp.training.data.federated import FederatedData
from fedp.training.engines.contract import (
    ClientData,
    ClientType,
    ServerState,
    StageEngine,
)
from fedp.training.engines.opening import OpenStage, open_engine
from fedp.training.evaluation_rounds import Accuracy, Evaluation, build_evaluation
from fedp.training.federated import aggregation_of, build_process, server_optimizer_of
from fedp.training.loading import (
    client_type,
    evaluation_clients,
    open_training_data,
    read_client,
)
from fedp.training.memory import peak_memory_mb
from fedp.training.metrics import MetricsWriter
from fedp.training.models import build_model
from fedp.training.privacy import privacy_spent
from fedp.training.progress import Progress, default_progress
from fedp.training.rounds import Rounds
from fedp.training.run_directory import (
    FINISHED,
    INTERRUPTED,
    RUNNING,
    Run,
    check_vacant,
    create_run,
    load_run,
    locked,
)
from fedp.training.run_record import new_record, open_same_data
from fedp.training.sampling import Participant
from fedp.training.stopping import Interrupted, StopRequest, stop_on_signals
from fedp.training.threads import one_thread_an_operator


@dataclasses.dataclass(frozen=True)
class Session:
    """What all rounds of one process share.

    Attributes:
        run: the run directory.
        data: where clients' examples come from.
        client_type: of those examples.
        open_stage: gets a stage ready on the run's engine.
        evaluate: weights -> accuracy on validation clients.
        metrics: gets every round.
        progress: gets every round.
        stop: says whether to end after the round under way.
    """

    run: Run
    data: FederatedData
    client_type: ClientType
    open_stage: OpenStage
    evaluate: Callable[[Sequence[np.ndarray]], Accuracy]
    metrics: MetricsWriter
    progress: Progress
    stop: StopRequest

    def read(self, participant: Participant) -> ClientData:
        """Reads what a training client trains on."""
        return read_client(self.data, self.run.config, participant)


def train(
    config: TrainingConfig | None,
    out: pathlib.Path,
    *,
    resume: bool = False,
    ui: Progress | None = None,
) -> Run:
    """Trains a model and writes a run directory; the same config gives the same model.

    Args:
        config: what to train; with `resume` None, or equal to the run's own.
        out: the run directory: new or empty, or with `resume` an existing one.
        resume: continue from the last checkpoint.
        ui: gets the progress; stderr unless given.

    Returns:
        The finished run.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the run can be resumed.
        FedpError: the data, the model, the run directory or the engine is at fault.
    """
    progress = ui or default_progress()
    if not one_thread_an_operator():
        progress.say(
            "TensorFlow was started with several threads an operator: training is "
            "slower, and not the same to the last bit when repeated"
        )
    try:
        run, data = _resumed(config, out) if resume else _created(config, out)
        with contextlib.closing(data), locked(run), stop_on_signals() as stop:
            if run.record.status == FINISHED:
                progress.say(f"run {out} is finished: there is nothing to resume")
                return run
            return _train(run.update(status=RUNNING), data, progress, stop)
    except OSError as error:
        raise RunError(
            f"run {out}: {error}: mend that, then `fedp train --resume {out}`"
        ) from error


def _created(
    config: TrainingConfig | None, out: pathlib.Path
) -> tuple[Run, FederatedData]:
    if config is None:
        raise RunError(f"run {out} has no configuration: give one, or resume a run")
    check_vacant(out)
    data = open_training_data(config)
    return create_run(out, new_record(config, data)), data


def _resumed(
    config: TrainingConfig | None, out: pathlib.Path
) -> tuple[Run, FederatedData]:
    run = load_run(out)
    if config not in (None, run.config):
        raise RunError(
            f"run {out} was started with other options: resume it without any, or "
            "start a new run"
        )
    return run, open_same_data(run)


def _train(run: Run, data: FederatedData, progress: Progress, stop: StopRequest) -> Run:
    """Runs what is left of a run."""
    config = run.config
    done, state = read_checkpoint(run.checkpoints) or (0, [])
    # Later ones are damaged; they must not push out good ones.
    drop_checkpoints(run.checkpoints, after=done)
    if done < run.record.rounds:
        progress.say(
            f"run {run.path}: the checkpoint of round {run.record.rounds} is damaged, "
            f"going on from round {done}"
        )
    progress.start(config.total_rounds, done)
    random = np.random.default_rng(config.seed)
    some = run.record.split.sample_up_to(data.clients(), "train", 10, random)
    example_type = client_type(data, *some)

    def read(participant: Participant) -> ClientData:
        return read_client(data, config, participant)

    try:
        with (
            MetricsWriter(run.path, after=done) as metrics,
            open_engine(config, read, run.path / "engine.log") as open_stage,
            _evaluation(run, data, example_type, progress) as evaluate,
        ):
            session = Session(
                run, data, example_type, open_stage, evaluate, metrics, progress, stop
            )
            run_stages(session, done, state)
            privacy = privacy_spent(config, run, data)
    finally:
        progress.stop()
    return run.update(
        status=FINISHED,
        rounds=config.total_rounds,
        privacy=privacy,
        peak_memory_mb=peak_memory_mb(),
    )


def run_stages(session: Session, done: int, state: ServerState) -> None:
    """Algorithm 2: every stage starts from the weights that the one before left.

    Args:
        session: of this process.
        done: rounds done already, over all stages.
        state: the server's state after them, as a checkpoint holds it.
    """
    run = session.run
    weights: list[np.ndarray] | None = None
    before, first = None, 1
    for stage in run.config.stages:
        rounds = range(first, first + stage.rounds)
        if rounds and done >= rounds[-1]:
            weights = None  # on disk; read when a later stage needs them
        elif rounds:
            state_so_far = state if done >= first else []
            theta = _weights_after(run, before) if weights is None else weights
            weights = run_stage(session, stage, theta, rounds, done, state_so_far)
        else:
            weights = _weights_after(run, before) if weights is None else weights
            run.save_stage(stage.name, weights)
        before, first = stage.name, first + stage.rounds


def _weights_after(run: Run, stage: str | None) -> list[np.ndarray]:
    """What the next stage starts from; None is before the first one."""
    if stage is not None:
        return run.weights(stage)
    initial: list[np.ndarray] = _build_model(run, run.config.seed).get_weights()
    return initial


def run_stage(
    session: Session,
    stage: Stage,
    weights: Sequence[np.ndarray],
    numbers: range,
    done: int,
    state_so_far: ServerState,
) -> list[np.ndarray]:
    """Runs the rounds of a stage after `done`; returns the weights after the last."""
    run, config = session.run, session.run.config
    with contextlib.closing(_open_stage(session, stage)) as engine:
        rounds = Rounds(
            run.record,
            stage,
            session.data,
            engine,
            session.progress,
            run.secret() if stage.aggregator == "dp" else (),
        )
        state = state_so_far or engine.initial(weights)
        for number in (n for n in numbers if n > done):
            start = time.monotonic()
            state, log = rounds.run(number, state, last=number == numbers[-1])
            log = log._replace(seconds=time.monotonic() - start)
            theta = state[: len(weights)]
            last = number == numbers[-1]
            if last or (config.eval_every and number % config.eval_every == 0):
                accuracy = session.evaluate(theta)
                log = log._replace(
                    initial_accuracy=accuracy.initial,
                    personalized_accuracy=accuracy.personalized,
                )
            session.metrics.write(log, rounds.participants)
            session.progress.round(log)
            stopping = session.stop.signal  # read once: it may come at any time
            if last:
                run.save_stage(stage.name, theta)
            if last or stopping or number % config.checkpoint_every == 0:
                write_checkpoint(run.checkpoints, number, state)
                run.update(status=RUNNING, rounds=number)
            if stopping and number < config.total_rounds:
                _interrupt(run, number, stopping)
    return state[: len(weights)]


def _open_stage(session: Session, stage: Stage) -> StageEngine:
    config, model = session.run.config, _build_model(session.run)
    if stage.algorithm == "centralized":
        return build_centralized(
            model, session.client_type, stage, config.batch_size, session.read
        )
    process = build_process(
        model,
        session.client_type,
        algorithm=algorithm_of(stage),
        batch_size=config.batch_size,
        client_optimizer=client_optimizer_of(config),
        server_optimizer=server_optimizer_of(stage),
        aggregation=aggregation_of(stage, config.clients_per_round),
    )
    return session.open_stage(process)


def _build_model(run: Run, seed: int | None = None) -> tf.keras.Model:
    record = run.record
    return build_model(
        run.config.model,
        record.input_shape,
        len(record.classes),
        seed,
        label_shape=record.label_shape,
    )


@contextlib.contextmanager
def _evaluation(
    run: Run, data: FederatedData, example_type: ClientType, progress: Progress
) -> Iterator[Callable[[Sequence[np.ndarray]], Accuracy]]:
    config = run.config
    function = build_evaluation(
        _build_model(run),
        example_type,
        config.batch_size,
        client_optimizer_of(config),
        epochs=(0, config.personalization_epochs),
    )
    random = np.random.default_rng(config.split_seed)
    names = sorted(
        run.record.split.sample_up_to(
            data.clients(), "validation", config.eval_clients, random
        )
    )

    def left_out(name: str, reason: str) -> None:
        progress.say(f"validation client {name} left out: {reason}")

    with contextlib.closing(Evaluation(function)) as evaluation:
        yield lambda weights: evaluation.accuracy(
            weights,
            evaluation_clients(data, names, config.split_seed, on_failure=left_out),
        )


def _interrupt(run: Run, number: int, stopping: int) -> None:
    run.update(status=INTERRUPTED, rounds=number)
    name = signal.Signals(stopping).name
    raise Interrupted(
        f"stopped by {name} after round {number} of {run.config.total_rounds}; "
        f"continue with `fedp train --resume {run.path}`",
        stopping,
    )
