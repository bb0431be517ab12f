"""What a device's state lets out: `metrics` and `local_privacy` over a `Store`."""

from __future__ import annotations

from fedp.device_runtime.local_privacy import Release, release
from fedp.device_runtime.metrics import Metrics, metrics_of
from fedp.device_runtime.store import Store


def metrics_of_state(store: Store) -> Metrics:
    """The plain numbers of a state.

    Raises:
        StateError: the state cannot be read.
    """
    counted, live = store.counters(), store.newest()
    return metrics_of(
        artifact=store.artifact,
        adaptations=counted.adaptations,
        kept=counted.kept,
        withdrawn=counted.withdrawn,
        examples=counted.figures.examples,
        personalized=live is not None and live.weights is not None,
        accuracy_before=counted.figures.accuracy_before,
        accuracy_after=counted.figures.accuracy_after,
    )


def release_of_state(store: Store, epsilon: float, *, renew: bool = False) -> Release:
    """A few noisy bits of them; asked again, the same.

    Args:
        store: remembers what was released before this returns.
        epsilon: 0.001 to 20, see docs/privacy.md; the smaller, the more noise.
        renew: answer anew, which costs another epsilon; see `local_privacy.release`.

    Raises:
        FedpError: an epsilon out of range, or another than was answered with.
        DataError: damage has taken what was released: nothing more can be counted.
        StateError: the state cannot be read or written.
    """
    metrics = metrics_of_state(store)
    return store.release(lambda memory: release(metrics, epsilon, memory, renew=renew))
