"""The bound: a process a core, each looping a native single-threaded training step.

They only compute: batches lie in memory as float32 tensors, nobody waits for anybody
between rounds, and nothing is aggregated.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from job import Job, Measured
from row import answer
from shares import shares
from writers import Writer, halves_of, model_of, rounds_of, scaled

Batches = list[tuple[Any, Any]]
PROCESSES = len(os.sched_getaffinity(0))
_START_SECONDS = 600

_start: Any = None  # of a worker process: the barrier that all of them start at


class Share(NamedTuple):
    """What one process measured.

    Attributes:
        start: seconds on the machine's monotonic clock.
        end: likewise.
        units: done between them.
        check: sums, to be added over the processes.
    """

    start: float
    end: float
    units: int
    check: np.ndarray


def run_rounds(job: Job, engine: str = "") -> Measured:
    """Trains on the rounds' batches; the check is the loss of the first round."""
    sizes = [len(writer.y) for clients in rounds_of(job) for writer in clients]
    done = _in_processes(_train, job, sizes)
    loss_sum, examples = sum(share.check for share in done)
    return _together(done, [loss_sum / examples])


def run_evaluation(job: Job, engine: str = "") -> Measured:
    """Adapts and tests; the check is the mean accuracy before and after."""
    sizes = [len(halves.support.y) for halves in halves_of(job)]
    done = _in_processes(_evaluate, job, sizes)
    sums = sum(share.check for share in done)
    return _together(done, [float(s) / job.clients for s in sums])


def _in_processes(
    work: Callable[[Job, list[int]], Share], job: Job, sizes: list[int]
) -> list[Share]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES, timeout=_START_SECONDS)
    with concurrent.futures.ProcessPoolExecutor(
        PROCESSES, context, initializer=_enter, initargs=(barrier,)
    ) as pool:
        return list(pool.map(work, [job] * PROCESSES, shares(sizes, PROCESSES)))


def _enter(barrier: Any) -> None:
    import tensorflow as tf

    global _start
    _start = barrier
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _together(done: list[Share], check: list[float]) -> Measured:
    seconds = max(s.end for s in done) - min(s.start for s in done)
    return Measured(sum(s.units for s in done), seconds, check)


def _train(job: Job, mine: list[int]) -> Share:
    """One process: warms up on its writers of the first round, then trains on all."""
    model = model_of(job)
    step, theta = training_step(model, job.client_learning_rate), model.get_weights()
    writers = [writer for clients in rounds_of(job) for writer in clients]
    check = np.zeros(2)
    for at in mine:
        if at < job.clients:
            model.set_weights(theta)
            for x, y in batches(job, model, writers[at]):
                check += float(step(x, y)) * len(y), len(y)
    work = [batches(job, model, writers[at]) for at in mine]
    _start.wait()
    start = time.monotonic()
    for client in work:
        for x, y in client:
            step(x, y)
    end = time.monotonic()
    return Share(start, end, sum(len(writers[at].y) for at in mine) * job.epochs, check)


def _evaluate(job: Job, mine: list[int]) -> Share:
    """One process: goes through its clients twice, the first time to warm up."""
    import tensorflow as tf

    model = model_of(job)
    step, right = training_step(model, job.client_learning_rate), right_answers(model)
    theta = [tf.constant(weight) for weight in model.get_weights()]
    clients = halves_of(job)
    work = []
    for support, query in (clients[at] for at in mine):
        x = tf.constant(scaled(query.x, model.input_shape[1:]))
        work.append((batches(job, model, support), x, tf.constant(query.y)))

    def client(support: Batches, x: Any, y: Any) -> np.ndarray:
        for variable, value in zip(model.trainable_variables, theta, strict=True):
            variable.assign(value)
        before = float(right(x, y))
        for batch in support:
            step(*batch)
        return np.array([before, float(right(x, y))]) / len(y)

    client(*work[0])
    _start.wait()
    start = time.monotonic()
    check = sum(client(*w) for w in work)
    return Share(start, time.monotonic(), len(work), check)


def training_step(model: Any, learning_rate: float) -> Any:
    """A step of SGD: (x, y) -> mean loss before it."""
    import tensorflow as tf

    signature = tf.TensorSpec(model.input_shape), tf.TensorSpec([None], tf.int32)

    @tf.function(input_signature=signature)
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            loss = tf.reduce_mean(losses)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(learning_rate * gradient)
        return loss

    return step


def right_answers(model: Any) -> Any:
    """The forward pass: (x, y) -> how many of them are classified correctly."""
    import tensorflow as tf

    signature = tf.TensorSpec(model.input_shape), tf.TensorSpec([None], tf.int32)

    @tf.function(input_signature=signature)
    def right(x: Any, y: Any) -> Any:
        classes = tf.argmax(model(x, training=False), axis=1, output_type=tf.int32)
        return tf.reduce_sum(tf.cast(tf.equal(classes, y), tf.float32))

    return right


def batches(job: Job, model: Any, writer: Writer) -> Batches:
    """All batches of a client's local epochs, each epoch in another order."""
    import tensorflow as tf

    random = np.random.default_rng(writer.seed)
    x = scaled(writer.x, model.input_shape[1:])
    result = []
    for _ in range(job.epochs):
        order = random.permutation(len(writer.y))
        for at in range(0, len(order), job.batch_size):
            rows = order[at : at + job.batch_size]
            result.append((tf.constant(x[rows]), tf.constant(writer.y[rows])))
    return result


if __name__ == "__main__":
    answer(rounds=run_rounds, evaluation=run_evaluation)
