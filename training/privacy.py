"""What differentially private stages have cost: the accountant's epsilon."""

from __future__ import annotations

import math
from typing import Any

from fedp.device_runtime.errors import RunError
from fedp.training.configuration import TrainingConfig
from fedp.training.data.federated import FederatedData
from fedp.training.metrics import read_attempts
from fedp.training.run_directory import Run
from fedp.training.sampling import training_clients


def privacy_spent(
    config: TrainingConfig, run: Run, data: FederatedData
) -> dict[str, Any] | None:
    """The guarantee of a run's model for whole clients; None without a DP stage.

    Rounds draw a fixed number of clients without replacement, so two data sets are
    neighbours if they differ in one client, who is replaced: the sum of clipped updates
    then moves by up to twice the clip norm. A repeated attempt counts as a round; one
    that a crash has lost does not, since nobody has seen what came of it.

    Args:
        config: of the run.
        run: its metrics say how many rounds there were.
        data: its training clients are counted.

    Returns:
        "epsilon", "delta", "rounds", "training_clients" and "neighbours".
    """
    stages = [stage for stage in config.stages if stage.rounds]
    if not any(stage.aggregator == "dp" for stage in stages):
        return None
    clients = sum(1 for _ in training_clients(data, run.record.split))
    delta = config.dp_delta or clients**-1.1
    private_only = all(stage.aggregator == "dp" for stage in stages)
    attempts = read_attempts(run.path)
    for stage in stages:
        if attempts[stage.name] < stage.rounds:
            raise RunError(
                f"run {run.path}: metrics.csv lacks rounds of stage {stage.name!r}, so "
                "what privacy has cost is not known: restore it, then resume the run"
            )
    epsilon = math.inf
    if private_only:
        rounds = [(stage.noise_multiplier, attempts[stage.name]) for stage in stages]
        epsilon = epsilon_of(rounds, clients, config.clients_per_round, delta)
    return {
        # JSON has no infinity; a stage without noise protects nobody.
        "epsilon": epsilon if math.isfinite(epsilon) else None,
        "delta": delta,
        "rounds": sum(attempts[stage.name] for stage in stages),
        "training_clients": clients,
        "neighbours": "one client replaced by another",
    }


def epsilon_of(
    rounds: list[tuple[float, int]], clients: int, clients_per_round: int, delta: float
) -> float:
    """Epsilon at a delta, by Renyi accounting (Wang et al. 2019, for fixed samples).

    Args:
        rounds: noise multiplier and number of rounds, of each stage.
        clients: N, from whom rounds are drawn.
        clients_per_round: M, drawn without replacement.
        delta: in (0, 1).
    """
    import dp_accounting

    accountant = dp_accounting.rdp.RdpAccountant(
        neighboring_relation=dp_accounting.NeighboringRelation.REPLACE_ONE
    )
    for noise_multiplier, count in rounds:
        # Relative to the sensitivity, which replacing a client doubles.
        gaussian = dp_accounting.GaussianDpEvent(noise_multiplier / 2)
        sampled = dp_accounting.SampledWithoutReplacementDpEvent(
            clients, clients_per_round, gaussian
        )
        accountant.compose(sampled, count)
    return float(accountant.get_epsilon(delta))
