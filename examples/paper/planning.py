"""How much work each job is: images through one SGD step, evaluations included.

A forward pass counts a third of a step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Sequence

from settings import Settings
from wanted import Job

from fedp.training.configuration import Stage, TrainingConfig
from fedp.training.data.opening import open_data
from fedp.training.data.splits import ClientSplit

_FORWARD = 1 / 3
RATE = 4000.0  # images a second of emnist_cnn on two cores of a virtual machine


@dataclasses.dataclass(frozen=True)
class Work:
    """Images of each part of a job."""

    training: float
    validation: float
    evaluation: float
    one_core: bool

    @property
    def total(self) -> float:
        return self.training + self.validation + self.evaluation

    def seconds(self, rate: float, processes: int) -> float:
        """Wall time; pooled training uses one core of a process' two."""
        waste = self.training if self.one_core and processes == 1 else 0.0
        return (self.total + waste) / rate


class Planner:
    """Counts work from the clients' sizes, which the data set knows unread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        data = open_data(
            settings.data, max_examples=settings.max_examples, seed=settings.split_seed
        )
        with contextlib.closing(data):
            names = data.clients()
            split = ClientSplit.of(
                names, settings.split_seed, settings.validation, settings.test
            )
            self._support: dict[str, list[int]] = {}
            self._query: dict[str, list[int]] = {}
            for role in ("train", "validation", "test"):
                chosen = split.select(names, role)
                whole = [data.count(name) for name in chosen]
                share = settings.client_test
                if role == "validation":
                    share = 0.5
                own = [
                    data.train_count(name) or count - math.ceil(count * share)
                    for name, count in zip(chosen, whole, strict=True)
                ]
                self._support[role] = own
                self._query[role] = [w - o for w, o in zip(whole, own, strict=True)]

    def work(self, job: Job) -> Work:
        """What a job costs, the base's rounds aside."""
        config, settings = job.cell.config, self._settings
        stage, rounds = config.stages[-1], job.cell.own_rounds
        images = self._round(config, stage) * len(rounds)
        every = config.eval_every
        validations = sum(1 for r in rounds if every and r % every == 0) or 1
        validation = self._adaptations(
            "validation", config.eval_clients, config.personalization_epochs, 2
        )
        looks = sum(
            self._adaptations(
                look.role, settings.test_clients, look.epochs, look.epochs + 1
            )
            for look in job.looks
        )
        pooled = stage.algorithm == "centralized"
        return Work(images, validations * validation, looks, pooled)

    def _round(self, config: TrainingConfig, stage: Stage) -> float:
        sizes = self._support["train"]
        if stage.algorithm == "centralized":
            return sum(sizes)
        if stage.algorithm == "fedavg":
            each = [stage.local_epochs * n for n in sizes]
        else:
            batches = [max(1, math.ceil(n / config.batch_size)) for n in sizes]
            pairs = zip(sizes, batches, strict=True)
            each = [stage.local_steps * n / b for n, b in pairs]
        return config.clients_per_round * sum(each) / len(each)

    def _adaptations(self, role: str, most: int, epochs: int, looks: int) -> float:
        support, query = self._support[role], self._query[role]
        clients = min(most, len(support))
        mean = (epochs * sum(support) + looks * _FORWARD * sum(query)) / len(support)
        return clients * mean


def plan_table(
    settings: Settings, jobs: Sequence[Job], rate: float, processes: int
) -> str:
    """All jobs in their order, with running minutes."""
    planner = Planner(settings)
    lines = [
        f"{'job':34} {'rounds':>7} {'training':>10} {'validation':>10} "
        f"{'test':>9} {'min':>6} {'sum':>6}"
    ]
    so_far = images = 0.0
    for job in jobs:
        work = planner.work(job)
        minutes = work.seconds(rate, processes) / 60
        so_far, images = so_far + minutes, images + work.total
        lines.append(
            f"{job.name:34} {len(job.cell.own_rounds):7d} {work.training:10,.0f} "
            f"{work.validation:10,.0f} {work.evaluation:9,.0f} {minutes:6.1f} "
            f"{so_far:6.1f}"
        )
    lines.append(
        f"{len(jobs)} jobs, {images / 1e6:.1f} million images through a step, about "
        f"{so_far:.0f} min at {rate:,.0f} images/s"
    )
    return "\n".join(lines)
