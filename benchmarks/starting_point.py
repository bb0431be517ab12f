"""A half-trained model to evaluate: at random weights every accuracy would be 2 %."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
from bound import batches, training_step
from job import Job, Measured
from row import answer
from writers import Writer, halves_of, model_of, others_than

_STEPS = 1000


def train(job: Job, engine: str = "") -> Measured:
    """Trains on writers whom the evaluation leaves out; saves to `job.weights`."""
    taken = {halves.query.name for halves in halves_of(job)}
    others = others_than(job, taken)
    x, y = (np.concatenate([getattr(o, name) for o in others]) for name in "xy")
    once = dataclasses.replace(job, weights=None, epochs=1)
    model = model_of(once)
    step = training_step(model, job.client_learning_rate)
    work = batches(once, model, Writer("all", x, y, np.zeros(2, np.int32)))[:_STEPS]
    start = time.monotonic()
    losses = [float(step(*batch)) for batch in work]
    seconds = time.monotonic() - start
    np.savez(str(job.weights), *model.get_weights())
    return Measured(len(work) * job.batch_size, seconds, [float(np.mean(losses[-50:]))])


if __name__ == "__main__":
    answer(evaluation=train)
