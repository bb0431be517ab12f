import pytest

from fedp.training.config_sources import parse_stage, read_config_file, stages_of
from fedp.training.configuration import ConfigurationError, Stage, TrainingConfig


def test_a_stage_on_the_command_line_and_in_a_file_is_the_same(tmp_path):
    text = "reptile, rounds=50, K=3, server=sgd, lr=0.5, aggregator=robust"
    (there,) = stages_of([parse_stage(text)])
    path = tmp_path / "run.toml"
    path.write_text(
        'data = "a.npz"\nclients_per_round = 7\n[[stage]]\nalgorithm = "reptile"\n'
        'rounds = 50\nlocal_steps = 3\nserver_optimizer = "sgd"\n'
        'server_learning_rate = 0.5\naggregator = "robust"\n'
    )
    fields = read_config_file(path)
    assert fields["stages"] == (there,)
    assert TrainingConfig(**fields).clients_per_round == 7
    assert there == Stage(
        "reptile",
        "reptile",
        50,
        local_steps=3,
        server_optimizer="sgd",
        server_learning_rate=0.5,
        aggregator="robust",
    )


def test_defaults_are_what_the_paper_pairs():
    fedavg, *others = stages_of(
        [parse_stage(f"{a},rounds=1") for a in ("fedavg", "reptile", "fedsgd", "maml")]
    )
    assert (fedavg.server_optimizer, fedavg.server_learning_rate) == ("momentum", 1.0)
    for stage in others:
        assert (stage.server_optimizer, stage.server_learning_rate) == ("adam", 1e-3)


def test_repeated_algorithms_get_names_of_their_own():
    tables = [parse_stage(f"{a},rounds=1") for a in ("fedavg", "reptile", "fedavg")]
    assert [s.name for s in stages_of(tables)] == ["fedavg", "reptile", "fedavg-2"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("fedprox,rounds=3", "fedavg, reptile, fedsgd, fomaml, maml, centralized"),
        ("fedavg", "rounds"),
        ("fedavg,rounds", "not understood"),
        ("fedavg,rounds=many", "number"),
        ("fedavg,rounds=3,wings=2", "wings"),
        ("fedavg,rounds=3,momentum=2", "below 1"),
        ("centralized,rounds=3,aggregator=dp", "aggregates nothing"),
    ],
)
def test_a_bad_stage_is_an_error_of_one_line(text, named):
    with pytest.raises(ConfigurationError, match=named) as error:
        stages_of([parse_stage(text)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("data = ", "cannot be read"),
        ("wings = 2", "unknown wings"),
        ("stages = []", "unknown stages"),
        ("[stage]\nrounds = 3", "two brackets"),
        ('[[stage]]\nalgorithm = "fedavg"\nrounds = "3"', "int is needed"),
        ('[[stage]]\nalgorithm = "fedavg"\nrounds = 3\nwings = 1', "no wings"),
    ],
)
def test_a_bad_file_is_an_error_of_one_line(tmp_path, text, named):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=named) as error:
        read_config_file(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="no.toml"):
        read_config_file(tmp_path / "no.toml")
