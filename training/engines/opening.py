"""From the engine's name in a configuration to an engine."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator

from fedp.training.configuration import TrainingConfig
from fedp.training.cores import cores
from fedp.training.engines.contract import ReadClient, StageEngine
from fedp.training.federated import FederatedProcess

# Gets a stage's computations ready to be executed.
OpenStage = Callable[[FederatedProcess], StageEngine]


@contextlib.contextmanager
def open_engine(
    config: TrainingConfig, read: ReadClient, log: pathlib.Path
) -> Iterator[OpenStage]:
    """Opens the engine of a run; whatever it starts ends with the context.

    Args:
        config: names the engine.
        read: reads one client, for engines that train in this process.
        log: file for the output of other processes, where there are any.

    Raises:
        FedpError: the engine does not start.
    """
    if config.engine == "tff":
        from fedp.training.engines.native import NativeEngine, native_runtime

        # The clients of a round share the cores: more threads would be in their way.
        threads = max(1, cores() // config.clients_per_round)
        with native_runtime(log, threads):
            yield lambda process: NativeEngine(process, read)
    elif config.engine == "ray":
        from fedp.training.engines.ray_cluster import ray_cluster

        with ray_cluster(config, log) as open_stage:
            yield open_stage
    else:
        from fedp.training.engines.local import LocalEngine

        yield lambda process: LocalEngine(process.functions(), read)
