import numpy as np
import pytest

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.personalizer import Personalizer
from fedp.training.data import open_data, split_examples
from fedp.training.evaluation.clients import ClientJob
from fedp.training.evaluation.columns import Columns
from fedp.training.evaluation.png import data_address
from fedp.training.evaluation.worst import mistakes_of, worst_of

SPEC = "synthetic:12"


def columns(initial, personalized, deployed):
    n = len(initial)
    arrays = (np.array(a, float) for a in (initial, personalized, deployed))
    return Columns(np.ones(n), *arrays, np.ones(n, bool), np.zeros(n, int))


def test_first_come_those_that_the_deployed_model_hurts():
    #         hurt by both, saved by the guard, helped, hurt most by both
    found = columns([0.5] * 4, [0.4, 0.1, 0.9, 0.3], [0.4, 0.5, 0.9, 0.3])
    assert worst_of(found) == [3, 0, 1, 2]


def test_of_many_only_some_are_shown_and_none_twice():
    random = np.random.default_rng(0)
    initial, personalized = random.random((2, 200))
    deployed = np.where(random.random(200) < 0.5, personalized, initial)
    found = worst_of(columns(initial, personalized, deployed))
    assert len(found) == len(set(found)) == 10
    hurt = np.argsort(deployed - initial)[:5].tolist()
    assert found[:5] == hurt
    others = [n for n in np.argsort(personalized - initial) if n not in hurt]
    assert found[5:] == others[:5]


def test_mistakes_are_test_examples_that_went_wrong(mlp_artifact):
    job = ClientJob(mlp_artifact, SPEC, None, 0, 0, 60)
    data = open_data(SPEC, max_examples=60)
    client = data.clients()[1]
    (name, mistakes), *others = mistakes_of(job, [client]).items()
    assert name == client and others == []
    assert 0 < len(mistakes) <= 8
    support, query = split_examples(client, data.load(client), seed=0)
    images = {data_address(x): n for n, x in enumerate(query.x)}
    classes = read_artifact(mlp_artifact)[0].classes
    with Personalizer.open(mlp_artifact) as device:
        before = device.predict(query.x).argmax(axis=1)
        device.personalize(support.x, support.y, seed=0)
        after = device.predict(query.x).argmax(axis=1)
    for mistake in mistakes:
        n = images[mistake.image]
        assert mistake.label == classes[query.y[n]]
        assert mistake.initial == classes[before[n]]
        assert mistake.deployed == classes[after[n]]
        assert mistake.label not in (mistake.personalized, mistake.deployed) or (
            mistake.personalized != mistake.deployed
        )
    lost = [m.initial == m.label for m in mistakes]
    assert lost == sorted(lost, reverse=True)


def test_examples_that_are_no_images_have_no_pictures(small_export, tmp_path):
    artifact, data = tmp_path / "small.tflite", tmp_path / "data.npz"
    artifact.write_bytes(small_export.content)
    x = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
    np.savez(
        data, x=x, y=np.arange(12) % 3, client=["ann"] * 12, classes=["a", "b", "c"]
    )
    assert mistakes_of(ClientJob(artifact, str(data), None, 0, 0, None), ["ann"]) == {}


@pytest.mark.parametrize("changed", ["sha256", "fingerprint"])
def test_files_that_changed_meanwhile_are_refused(mlp_artifact, changed):
    from fedp.device_runtime.errors import DataError

    job = ClientJob(mlp_artifact, SPEC, None, 0, 0, 60, **{changed: "0" * 16})
    with pytest.raises(DataError, match="is another one here") as caught:
        mistakes_of(job, [])
    assert "\n" not in str(caught.value)
