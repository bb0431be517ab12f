"""fedp's rows: the one file here that knows how fedp's engines are called."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from job import Job, Measured
from row import answer
from writers import Writer, halves_of, model_of, rounds_of

ENGINES = ("local", "tff")


def run_rounds(job: Job, engine: str) -> Measured:
    """FedAvg with a momentum server; checks every round's training loss."""
    from fedp.training.sampling import Participant

    rounds = rounds_of(job)
    taking_part = [[Participant(w.name, w.seed) for w in writers] for writers in rounds]
    parts: dict[str, float] = {}
    with _engine(job, engine, rounds) as stage:
        first = stage.initial(model_of(job).get_weights())
        stage.next(first, taking_part[0])
        if engine == "local":
            _time(parts, stage._reader, "clients", "waiting for data")
            _time(parts, stage._server, "prepare", "broadcast")
            _time(parts, stage._server, "total", "clients and their sum")
            _time(parts, stage._server, "update", "server step")
        state, losses, start = first, [], time.monotonic()
        for number, participants in enumerate(taking_part):
            upcoming = taking_part[number + 1] if taking_part[number + 1 :] else ()
            state, sums, failed = stage.next(state, participants, upcoming)
            assert not failed, failed
            losses.append(sums.loss_sum / sums.processed)
        seconds = time.monotonic() - start
    images = sum(len(writer.y) for writers in rounds for writer in writers)
    return Measured(images * job.epochs, seconds, losses, parts)


def run_evaluation(job: Job, engine: str) -> Measured:
    """Adapts and tests as while training; checks accuracy before and after.

    It is the same for all engines.
    """
    from fedp.training.client_optimizers import sgd
    from fedp.training.data import Examples
    from fedp.training.evaluation_rounds import (
        Evaluation,
        EvaluationClient,
        build_evaluation,
    )

    clients = [
        EvaluationClient(
            Examples(support.x, support.y), Examples(query.x, query.y), support.seed
        )
        for support, query in halves_of(job)
    ]
    model = model_of(job)
    weights = model.get_weights()
    function = build_evaluation(
        model,
        _type_of(clients[0].query.x),
        job.batch_size,
        sgd(job.client_learning_rate),
        epochs=(0, job.epochs),
    )
    with contextlib.closing(Evaluation(function)) as evaluation:
        evaluation.accuracy(weights, clients[:2])
        start = time.monotonic()
        accuracy = evaluation.accuracy(weights, clients)
        seconds = time.monotonic() - start
    return Measured(len(clients), seconds, [accuracy.initial, accuracy.personalized])


@contextlib.contextmanager
def _engine(job: Job, engine: str, rounds: list[list[Writer]]) -> Iterator[Any]:
    """An engine with the one stage of the job."""
    from fedp.training import federated
    from fedp.training.algorithms import algorithm_of
    from fedp.training.client_optimizers import client_optimizer_of
    from fedp.training.configuration import Stage, TrainingConfig
    from fedp.training.engines.contract import ClientData
    from fedp.training.engines.opening import open_engine

    stage = Stage("fedavg", "fedavg", job.rounds, job.epochs)
    config = TrainingConfig(
        job.data,
        model=job.model,
        stages=(stage,),
        clients_per_round=job.clients,
        batch_size=job.batch_size,
        client_learning_rate=job.client_learning_rate,
        engine=engine,
    )
    clients = {writer.name: writer for writers in rounds for writer in writers}

    def read(participant: Any) -> ClientData:
        writer = clients[participant.client]
        return ClientData(writer.x, writer.y, participant.seed)

    process = federated.build_process(
        model_of(job),
        _type_of(rounds[0][0].x),
        algorithm=algorithm_of(stage),
        batch_size=job.batch_size,
        client_optimizer=client_optimizer_of(config),
        server_optimizer=federated.server_optimizer_of(stage),
        aggregation=federated.aggregation_of(stage, job.clients),
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        open_engine(config, read, pathlib.Path(folder, "engine.log")) as open_stage,
        contextlib.closing(open_stage(process)) as opened,
    ):
        yield opened


def _type_of(x: Any) -> Any:
    from fedp.training.engines.contract import ClientType

    return ClientType(x.dtype, tuple(x.shape[1:]))


def _time(parts: dict[str, float], owner: Any, name: str, part: str) -> None:
    """Adds the seconds that the calls of a method take to a part."""
    method: Callable[..., Any] = getattr(owner, name)
    parts[part] = 0.0

    def timed(*arguments: Any) -> Any:
        start = time.monotonic()
        try:
            return method(*arguments)
        finally:
            parts[part] += time.monotonic() - start

    setattr(owner, name, timed)


if __name__ == "__main__":
    answer(rounds=run_rounds, evaluation=run_evaluation)
