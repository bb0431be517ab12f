import dataclasses
import json

import pytest

from fedp.training.configuration import (
    PERSONALIZED_FEDAVG,
    ConfigurationError,
    Stage,
    TrainingConfig,
)


def test_defaults_are_algorithm_2_of_the_paper():
    config = TrainingConfig(data="synthetic")
    fedavg, reptile = config.stages
    assert (config.clients_per_round, config.batch_size) == (5, 20)
    assert config.client_learning_rate == 0.02
    assert (fedavg.algorithm, fedavg.local_epochs) == ("fedavg", 5)
    assert (fedavg.server_optimizer, fedavg.server_learning_rate) == ("momentum", 1.0)
    assert fedavg.momentum == 0.9
    assert (reptile.algorithm, reptile.local_steps) == ("reptile", 10)
    assert reptile.server_optimizer == "adam"


def test_json_round_trip():
    stages = (
        dataclasses.replace(PERSONALIZED_FEDAVG[0], rounds=7),
        PERSONALIZED_FEDAVG[1],
    )
    config = TrainingConfig(data="a.npz", stages=stages, max_examples=3, seed=2**31 - 1)
    text = json.dumps(config.to_json())
    assert TrainingConfig.from_json(json.loads(text)) == config


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clients_per_round", 0),
        ("batch_size", 0),
        ("client_learning_rate", 0.0),
        ("client_learning_rate", float("nan")),
        ("client_learning_rate", float("inf")),
        ("seed", -1),
        ("seed", 2**31),
        ("max_examples", 0),
        ("eval_every", -1),
        ("client_optimizer", "lamb"),
        ("client_momentum", 1.0),
        ("client_test", 1.0),
        ("engine", "spark"),
        ("min_clients", 6),
        ("dp_delta", 0.0),
        ("clients_per_round", "5"),
        ("batch_size", 2.5),
        ("batch_size", True),
        ("data", 7),
        ("stages", ()),
        ("stages", (Stage("a", "fedavg", 0),)),
        ("stages", (Stage("a", "fedavg", 1), Stage("a", "reptile", 1))),
    ],
)
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(ConfigurationError) as error:
        TrainingConfig(**{"data": "synthetic", field: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("algorithm", "fedprox", "fedavg, reptile, fedsgd, fomaml, maml"),
        ("server_optimizer", "lamb", "sgd, momentum, adam"),
        ("aggregator", "median", "mean, unweighted, robust, dp"),
        ("clip_norm", 0.0, "above 0"),
        ("noise_multiplier", -1.0, "above 0"),
        ("rounds", -1, "0 or more"),
        ("local_epochs", 0, "1 or more"),
        ("local_steps", 0, "1 or more"),
        ("momentum", 1.0, "below 1"),
        ("server_learning_rate", -1.0, "above 0"),
        ("name", "../x", "rename"),
    ],
)
def test_a_stage_says_what_is_allowed(field, value, named):
    with pytest.raises(ConfigurationError, match=named):
        dataclasses.replace(PERSONALIZED_FEDAVG[0], **{field: value})


def test_an_unknown_field_is_refused():
    fields = TrainingConfig(data="synthetic").to_json()
    with pytest.raises(ConfigurationError, match="another fedp release"):
        TrainingConfig.from_json({**fields, "wings": 2})


def test_maml_differentiates_through_sgd_only():
    stages = (Stage("m", "maml", 1),)
    with pytest.raises(ConfigurationError, match="use sgd, or fomaml"):
        TrainingConfig(data="synthetic", stages=stages, client_optimizer="adam")
