"""Stock TFF 0.87: its federated averaging and personalization evaluation, as published.

Everything is left at its default, the execution context too. Clients are tf.data sets
of float32 images, as in TFF's tutorials; they are built inside the measured time, since
every round has new ones.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import time
import warnings
from typing import Any

import numpy as np
from job import Job, Measured
from row import answer
from writers import Writer, halves_of, model_of, rounds_of, scaled

warnings.filterwarnings("ignore")

_TEST_BATCH = 100


def run_rounds(job: Job, engine: str = "") -> Measured:
    """`build_weighted_fed_avg` with a momentum server; checks every round's loss."""
    import tensorflow_federated as tff

    sgdm = tff.learning.optimizers.build_sgdm
    process = tff.learning.algorithms.build_weighted_fed_avg(
        functools.partial(_tff_model, job),
        client_optimizer_fn=sgdm(job.client_learning_rate),
        server_optimizer_fn=sgdm(1.0, 0.9),
    )
    first = process.set_model_weights(process.initialize(), _weights(job))
    shape = model_of(job).input_shape[1:]
    rounds = rounds_of(job)
    process.next(first, [_training_set(job, shape, w) for w in rounds[0]])
    state, losses, start = first, [], time.monotonic()
    for writers in rounds:
        output = process.next(state, [_training_set(job, shape, w) for w in writers])
        state = output.state
        losses.append(float(output.metrics["client_work"]["train"]["loss"]))
    seconds = time.monotonic() - start
    images = sum(len(writer.y) for writers in rounds for writer in writers)
    return Measured(images * job.epochs, seconds, losses)


def run_evaluation(job: Job, engine: str = "") -> Measured:
    """`build_personalization_eval_computation`; checks accuracy before and after."""
    import tensorflow_federated as tff

    evaluate = tff.learning.algorithms.build_personalization_eval_computation(
        functools.partial(_tff_model, job),
        collections.OrderedDict(adapted=functools.partial(_build_adapt, job)),
        _accuracy,
        max_num_clients=job.clients,
    )
    weights, shape, halves = (
        _weights(job),
        model_of(job).input_shape[1:],
        halves_of(job),
    )
    evaluate(weights, [_halves(shape, h) for h in halves[:2]])
    start = time.monotonic()
    metrics = evaluate(weights, [_halves(shape, h) for h in halves])
    seconds = time.monotonic() - start
    before, after = metrics["baseline_metrics"], metrics["adapted"]
    check = [float(np.mean(m["accuracy"])) for m in (before, after)]
    return Measured(job.clients, seconds, check)


def _tff_model(job: Job) -> Any:
    import tensorflow as tf
    import tensorflow_federated as tff

    # In a graph, weights set by value end up elsewhere; the computations bring theirs.
    model = model_of(dataclasses.replace(job, weights=None))
    return tff.learning.models.from_keras_model(
        model,
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        input_spec=(
            tf.TensorSpec(model.input_shape, tf.float32),
            tf.TensorSpec([None], tf.int32),
        ),
    )


def _weights(job: Job) -> Any:
    import tensorflow_federated as tff

    return tff.learning.models.ModelWeights(model_of(job).get_weights(), [])


def _training_set(job: Job, shape: tuple[int, ...], writer: Writer) -> Any:
    images = _images(shape, writer).shuffle(len(writer.y), seed=int(writer.seed[0]))
    return images.repeat(job.epochs).batch(job.batch_size)


def _halves(shape: tuple[int, ...], halves: Any) -> Any:
    support, query = (_images(shape, half) for half in halves)
    return collections.OrderedDict(train_data=support, test_data=query)


def _images(shape: tuple[int, ...], writer: Writer) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((scaled(writer.x, shape), writer.y))


def _build_adapt(job: Job) -> Any:
    import tensorflow as tf

    @tf.function
    def adapt(model: Any, support: Any, query: Any) -> Any:
        variables = model.trainable_variables
        batches = support.shuffle(job.most).repeat(job.epochs).batch(job.batch_size)
        for batch in batches:
            with tf.GradientTape() as tape:
                loss = model.forward_pass(batch, training=True).loss
            gradients = tape.gradient(loss, variables)
            for variable, gradient in zip(variables, gradients, strict=True):
                variable.assign_sub(job.client_learning_rate * gradient)
        return _accuracy(model, query)

    return adapt


def _accuracy(model: Any, query: Any) -> Any:
    import tensorflow as tf

    right, count = 0.0, 0.0
    for x, y in query.batch(_TEST_BATCH):
        logits = model.predict_on_batch(x, training=False)
        classes = tf.argmax(logits, axis=1, output_type=tf.int32)
        # In TFF's Python `==` on tensors is identity: it would give 0.0, silently.
        right += tf.reduce_sum(tf.cast(tf.equal(classes, y), tf.float32))
        count += tf.cast(tf.size(y), tf.float32)
    return collections.OrderedDict(accuracy=right / count)


if __name__ == "__main__":
    answer(rounds=run_rounds, evaluation=run_evaluation)
