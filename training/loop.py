"""Algorithm 2 of Jiang et al. 2019: FedAvg(E), then Reptile(K), as a run on disk.

Stage 3, personalization, happens on devices; here it is only measured.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import signal
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from fedp.device_runtime.errors import FedpError, RunError
from fedp.training import federated
from fedp.training.algorithms import algorithm_of
from fedp.training.checkpoints import read_checkpoint, write_checkpoint
from fedp.training.client_update import sgd
from fedp.training.configuration import Stage, TrainingConfig
from fedp.training.data.federated import FederatedData
from fedp.training.data.opening import open_data
from fedp.training.evaluation_rounds import Accuracy, build_evaluation
from fedp.training.loading import (
    evaluation_clients,
    load_examples,
    load_round,
    prefetched,
)
from fedp.training.metrics import MetricsWriter, RoundLog
from fedp.training.models import build_model
from fedp.training.progress import Progress, default_progress
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
from fedp.training.run_record import check_same_data, new_record
from fedp.training.sampling import sample_clients
from fedp.training.stopping import Interrupted, StopRequest, stop_on_signals


class DivergedError(FedpError):
    """Training has left the finite numbers."""


@dataclasses.dataclass(frozen=True)
class Session:
    """What all rounds of one process share.

    Attributes:
        run: the run directory.
        data: where clients' examples come from.
        evaluate: weights -> accuracy on validation clients.
        metrics: gets every round.
        progress: gets every round.
        stop: says whether to end after the round under way.
    """

    run: Run
    data: FederatedData
    evaluate: Callable[[Sequence[np.ndarray]], Accuracy]
    metrics: MetricsWriter
    progress: Progress
    stop: StopRequest


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
        FedpError: the data, the model, the run directory or the worker is at fault.
    """
    progress = ui or default_progress()
    try:
        run, data = _resumed(config, out) if resume else _created(config, out)
        with locked(run), stop_on_signals() as stop:
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
    data = _open_data(config)
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
    data = _open_data(run.config)
    check_same_data(run, data)
    return run, data


def _open_data(config: TrainingConfig) -> FederatedData:
    return open_data(
        config.data, max_examples=config.max_examples, seed=config.split_seed
    )


def _train(run: Run, data: FederatedData, progress: Progress, stop: StopRequest) -> Run:
    """Runs what is left of a run."""
    config = run.config
    done, state = read_checkpoint(run.checkpoints) or (0, [])
    if done < run.record.rounds:
        progress.say(
            f"run {run.path}: the checkpoint of round {run.record.rounds} is damaged, "
            f"going on from round {done}"
        )
    # The clients of a round share the cores: more threads would be in their way.
    threads = max(1, len(os.sched_getaffinity(0)) // config.clients_per_round)
    progress.start(config.total_rounds, done)
    try:
        with (
            MetricsWriter(run.path, after=done) as metrics,
            federated.native_runtime(run.path / "worker.log", threads),
        ):
            evaluate = _evaluation(run, data)
            session = Session(run, data, evaluate, metrics, progress, stop)
            run_stages(session, done, state)
    finally:
        progress.stop()
    return _mark(run, FINISHED, config.total_rounds)


def run_stages(session: Session, done: int, state: list[np.ndarray]) -> None:
    """Algorithm 2: every stage starts from the weights that the one before left.

    Args:
        session: of this process.
        done: rounds done already, over all stages.
        state: the server's state after them, as a checkpoint holds it.
    """
    run = session.run
    weights = _build_model(run, run.config.seed).get_weights()
    first = 1
    for stage in run.config.stages:
        rounds = range(first, first + stage.rounds)
        if not rounds:
            run.save_stage(stage.name, weights)
        elif done >= rounds[-1]:
            weights = run.weights(stage.name)
        else:
            state_so_far = state if done >= first else []
            weights = run_stage(session, stage, weights, rounds, done, state_so_far)
        first += stage.rounds


def run_stage(
    session: Session,
    stage: Stage,
    weights: Sequence[np.ndarray],
    rounds: range,
    done: int,
    state_so_far: list[np.ndarray],
) -> list[np.ndarray]:
    """Runs the rounds of a stage after `done`; returns the weights after the last."""
    run, config = session.run, session.run.config
    process = _build_process(session, stage)
    state = process.initial(weights)
    if state_so_far:
        state = federated.state_from_arrays(state, state_so_far)
    load = functools.partial(
        load_round, session.data, run.record.clients["train"], config
    )
    for number, clients in prefetched(load, [r for r in rounds if r > done]):
        start = time.monotonic()
        state, sums = process.next(state, clients)
        log = _log(number, stage, len(clients), sums, time.monotonic() - start)
        last = number == rounds[-1]
        if last or (config.eval_every and number % config.eval_every == 0):
            accuracy = session.evaluate(state.weights)
            log = log._replace(
                initial_accuracy=accuracy.initial,
                personalized_accuracy=accuracy.personalized,
            )
        session.metrics.write(log)
        session.progress.round(log)
        if last:
            run.save_stage(stage.name, state.weights)
        if last or session.stop.signal or number % config.checkpoint_every == 0:
            arrays = federated.state_arrays(state)
            write_checkpoint(run.checkpoints, number, arrays)
            _mark(run, RUNNING, number)
        if session.stop.signal and number < config.total_rounds:
            _interrupt(session, number)
    return list(state.weights)


def _build_model(run: Run, seed: int | None = None) -> tf.keras.Model:
    classes = len(run.record.classes)
    return build_model(run.config.model, run.record.input_shape, classes, seed)


def _build_process(session: Session, stage: Stage) -> federated.FederatedProcess:
    run, config = session.run, session.run.config
    example = load_examples(session.data, run.record.clients["train"][0]).x
    return federated.build_process(
        _build_model(run),
        example.dtype,
        example.shape[1:],
        algorithm=algorithm_of(stage),
        batch_size=config.batch_size,
        client_optimizer=sgd(config.client_learning_rate),
        server_optimizer=federated.server_optimizer_of(stage),
    )


def _evaluation(
    run: Run, data: FederatedData
) -> Callable[[Sequence[np.ndarray]], Accuracy]:
    config = run.config
    optimizer = sgd(config.client_learning_rate)
    evaluate = build_evaluation(
        _build_model(run), config.batch_size, optimizer, config.personalization_epochs
    )
    names = run.record.clients["validation"]
    clients = evaluation_clients(data, names, config)
    return lambda weights: evaluate(weights, clients)


def _log(
    number: int,
    stage: Stage,
    clients: int,
    sums: federated.RoundMetrics,
    seconds: float,
) -> RoundLog:
    """Turns a round's sums into what is shown of it."""
    if sums.not_finite == clients:
        raise DivergedError(
            f"round {number}: the training of all {clients} clients left the finite "
            "numbers: start a new run with a lower client or server learning rate"
        )
    return RoundLog(
        round=number,
        stage=stage.name,
        train_loss=float(sums.loss_sum) / max(int(sums.processed), 1),
        clients=clients,
        left_out=int(sums.not_finite),
        examples=int(sums.examples),
        processed=int(sums.processed),
        steps=int(sums.steps),
        seconds=seconds,
    )


def _mark(run: Run, status: str, rounds: int) -> Run:
    """Writes how far the run is, and who has taken part up to there."""
    config, clients = run.config, run.record.clients["train"]
    names = {
        participant.client
        for number in range(1, rounds + 1)
        for participant in sample_clients(
            clients, config.clients_per_round, config.seed, number
        )
    }
    return run.update(status=status, rounds=rounds, participated=tuple(sorted(names)))


def _interrupt(session: Session, number: int) -> None:
    run = session.run
    _mark(run, INTERRUPTED, number)
    name = signal.Signals(session.stop.signal or signal.SIGINT).name
    raise Interrupted(
        f"stopped by {name} after round {number} of {run.config.total_rounds}; "
        f"continue with `fedp train --resume {run.path}`",
        int(session.stop.signal or signal.SIGINT),
    )
