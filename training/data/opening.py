"""From what people write after --data to a data set."""

from __future__ import annotations

from fedp.device_runtime.errors import DataError
from fedp.training.data.federated import FederatedData
from fedp.training.data.npz import NpzData
from fedp.training.data.synthetic import SyntheticData


def open_data(
    spec: str,
    *,
    max_examples: int | None = None,
    seed: int = 0,
    clients: int | None = None,
) -> FederatedData:
    """Opens a data set.

    Args:
        spec: "synthetic", "synthetic:CLIENTS", or the path of an .npz.
        max_examples: most examples a client; None for all.
        seed: draws the synthetic writers, or what a capped client of an .npz keeps.
        clients: how many synthetic clients where `spec` does not say.

    Raises:
        DataError: another spec, or a data set that cannot be used.
    """
    kind, colon, number = spec.partition(":")
    if kind == "synthetic":
        clients = _number(spec, number) if colon else clients
        size = {} if clients is None else {"clients": clients}
        return SyntheticData(seed=seed, max_examples=max_examples, **size)
    if spec.endswith(".npz"):
        if clients is not None:
            raise DataError(
                f"{spec} has the clients it has; only synthetic data takes their number"
            )
        return NpzData(spec, max_examples=max_examples, seed=seed)
    raise DataError(
        f"data set {spec!r} is of no known kind; allowed are synthetic, "
        "synthetic:CLIENTS, and the path of a file ending in .npz"
    )


def _number(spec: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DataError(
            f"data set {spec!r}: {text!r} is no number of clients; write it as in "
            "synthetic:100"
        ) from error
