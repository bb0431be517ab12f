"""The worst clients, looked at once more: test examples that went wrong, as images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from fedp.device_runtime.examples import inputs_for
from fedp.training.evaluation.clients import ClientJob, Opened
from fedp.training.evaluation.columns import Columns
from fedp.training.evaluation.one_client import adapt_and_measure
from fedp.training.evaluation.png import data_address, is_image

_EACH = 5  # clients that the deployed model hurts, and that the personalized one does
_MOST_EXAMPLES = 8


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A test example that the personalized or the deployed model gets wrong.

    Attributes:
        image: "data:" address of a PNG.
        label: name of its class.
        initial: of the class that the initial model answers; likewise the next two.
        personalized: the model after the last local epoch, without the guard.
        deployed: the model that is live.
    """

    image: str
    label: str
    initial: str
    personalized: str
    deployed: str


def worst_of(clients: Columns) -> list[int]:
    """Numbers of the clients that lost most by the deployed, then the adapted model."""
    deployed, personalized = clients.deployed_gain, clients.personalized_gain
    # By both, so that equal ones are told apart.
    order = np.lexsort((personalized, deployed)).tolist()
    hurt = [number for number in order[:_EACH] if deployed[number] < 0]
    rest = np.lexsort((deployed, personalized)).tolist()
    return hurt + [n for n in rest if n not in hurt][: 2 * _EACH - len(hurt)]


def mistakes_of(job: ClientJob, clients: Sequence[str]) -> dict[str, list[Mistake]]:
    """Personalizes clients once more and shows what goes wrong; images alone.

    Returns:
        Client -> some mistakes; empty where examples are no images of a class.

    Raises:
        FedpError: the artifact or the data cannot be used any more.
    """
    with job.opened() as opened:
        labels = opened.device.manifest.labels
        if labels.shape or not is_image(tuple(opened.data.input_shape)):
            return {}
        return {client: _mistakes(opened, client) for client in clients}


def _mistakes(opened: Opened, client: str) -> list[Mistake]:
    support, query = opened.parts(client)
    manifest, session = opened.device.manifest, opened.session()
    opened.device.reset()
    initial = opened.device.predict(query.x).argmax(axis=1)
    opened.device.personalize(support.x, support.y, seed=opened.seed)
    deployed = opened.device.predict(query.x).argmax(axis=1)
    adapt_and_measure(support, query, session, opened.seed)
    personalized = session.infer(inputs_for(query.x, manifest)).argmax(axis=1)
    wrong = np.flatnonzero((personalized != query.y) | (deployed != query.y))
    # First what was right before: this is what the client lost.
    lost = initial[wrong] == query.y[wrong]
    order = wrong[np.argsort(~lost, kind="stable")][:_MOST_EXAMPLES]
    names = manifest.classes
    return [
        Mistake(
            image=data_address(query.x[n]),
            label=names[query.y[n]],
            initial=names[initial[n]],
            personalized=names[personalized[n]],
            deployed=names[deployed[n]],
        )
        for n in order
    ]
