"""The models that the paper compares, each an ordinary configuration of a run."""

from __future__ import annotations

import dataclasses

from settings import Block, Server, Settings

from fedp.training.configuration import Stage, TrainingConfig


@dataclasses.dataclass(frozen=True)
class Cell:
    """One model, trained once a replica.

    Attributes:
        name: of its folders.
        label: for people.
        config: of the first replica.
        replicas: how often it is trained.
        base: the cell whose finished run, of the same replica, it continues.
    """

    name: str
    label: str
    config: TrainingConfig
    replicas: int
    base: Cell | None = None

    def config_of(self, replica: int) -> TrainingConfig:
        """A replica differs in its seed: of weights, sampling and shuffling."""
        return dataclasses.replace(self.config, seed=self.config.seed + replica)

    @property
    def own_rounds(self) -> range:
        """Rounds that the base has not trained, counted over all stages."""
        before = self.base.config.total_rounds if self.base else 0
        return range(before + 1, self.config.total_rounds + 1)


def fedavg_name(clients_per_round: int, local_epochs: int) -> str:
    return f"fedavg_m{clients_per_round}_e{local_epochs}"


def reptile_name(local_steps: int, server: Server) -> str:
    return f"reptile{local_steps}_{server.optimizer}_{server.learning_rate:g}"


def centralized_name(epochs: int) -> str:
    return f"centralized_{epochs}"


def base_name(settings: Settings) -> str:
    """The FedAvg model that fine-tuning starts from."""
    tuning = settings.fine_tuning
    return fedavg_name(tuning.clients_per_round, tuning.local_epochs)


def all_cells(settings: Settings) -> dict[str, Cell]:
    """Every model by its name; a base comes before what continues it."""
    cells = [
        *(_fedavg(settings, block, e) for block, e in settings.trained),
        *_fine_tuned(settings),
        *_centralized(settings),
    ]
    return {cell.name: cell for cell in cells}


def _fedavg(settings: Settings, block: Block, local_epochs: int) -> Cell:
    stage = Stage("fedavg", "fedavg", block.rounds, local_epochs=local_epochs)
    config = _config(
        settings,
        (stage,),
        clients_per_round=block.clients_per_round,
        eval_every=block.eval_every,
    )
    return Cell(
        fedavg_name(block.clients_per_round, local_epochs),
        f"FedAvg(E={local_epochs})",
        config,
        block.replicas or settings.replicas,
    )


def _fine_tuned(settings: Settings) -> list[Cell]:
    tuning = settings.fine_tuning
    base = next(
        _fedavg(settings, block, e)
        for block, e in settings.trained
        if fedavg_name(block.clients_per_round, e) == base_name(settings)
    )
    cells = []
    for server in tuning.servers:
        for k in tuning.local_steps:
            stage = Stage(
                "reptile",
                "reptile",
                tuning.rounds,
                local_steps=k,
                server_optimizer=server.optimizer,
                server_learning_rate=server.learning_rate,
                momentum=server.momentum,
            )
            config = dataclasses.replace(
                base.config, stages=(*base.config.stages, stage), eval_every=0
            )
            label = f"{base.label} + Reptile({k}), {server.label}"
            name = reptile_name(k, server)
            cells.append(Cell(name, label, config, base.replicas, base))
    return cells


def _centralized(settings: Settings) -> list[Cell]:
    """Each snapshot is the run of the one before, trained for more epochs."""
    cells: list[Cell] = []
    for epochs in sorted(settings.centralized.epochs):
        stage = Stage(
            "centralized",
            "centralized",
            epochs,
            server_optimizer="adam",
            server_learning_rate=settings.centralized.learning_rate,
        )
        label = f"centralized, Adam, {epochs} epoch{'s' if epochs > 1 else ''}"
        config = _config(settings, (stage,), eval_every=0)
        base = cells[-1] if cells else None
        name = centralized_name(epochs)
        cells.append(Cell(name, label, config, settings.replicas, base))
    return cells


def _config(
    settings: Settings, stages: tuple[Stage, ...], **changes: int
) -> TrainingConfig:
    return TrainingConfig(
        data=settings.data,
        model=settings.model,
        stages=stages,
        batch_size=settings.batch_size,
        client_learning_rate=settings.client_learning_rate,
        seed=settings.first_seed,
        split_seed=settings.split_seed,
        validation=settings.validation,
        test=settings.test,
        max_examples=settings.max_examples,
        client_test=settings.client_test,
        eval_clients=settings.eval_clients,
        personalization_epochs=settings.local_epochs,
        **changes,
    )
