import dataclasses
import json
import pathlib

import pytest

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.inspection import inspect, sections
from fedp.device_runtime.interpreter import load_interpreter

from .test_without_tensorflow import run_python


def test_signatures_are_those_of_the_contract(mlp_artifact):
    found = {s.name: s for s in inspect(mlp_artifact).signatures}
    assert set(found) == {"train", "evaluate", "infer", "save", "restore", "reset"}
    inputs = {t.name: (t.shape, t.dtype) for t in found["train"].inputs}
    assert inputs == {
        "x": ((-1, 28, 28, 1), "float32"),
        "y": ((-1,), "int32"),
        "weight": ((-1,), "float32"),
        "learning_rate": ((1,), "float32"),
    }
    assert [t.shape for t in found["infer"].outputs] == [(-1, 62)]
    weights = {w.name: w.shape for w in read_artifact(mlp_artifact)[0].weights}
    assert {t.name: t.shape for t in found["save"].outputs} == weights


def test_names_are_those_that_an_interpreter_gives(mlp_artifact):
    interpreter = load_interpreter(mlp_artifact.read_bytes())
    for signature in inspect(mlp_artifact).signatures:
        names = {tensor.name for tensor in signature.inputs}
        assert names == set(interpreter.inputs(signature.name))


def test_sizes_add_up_to_the_file(mlp_artifact):
    found = inspect(mlp_artifact)
    assert sum(found.sizes.values()) == found.bytes == mlp_artifact.stat().st_size
    assert found.sizes["fedp_manifest"] == len(found.manifest.to_json())
    # Biases of zeros are not held as such.
    assert found.sizes["constants"] >= 0.99 * found.weight_bytes


def test_all_of_it_is_json(mlp_artifact):
    fields = json.loads(json.dumps(inspect(mlp_artifact).to_json()))
    assert fields["signed"] is False
    assert fields["manifest"]["policy"]["trainable"] == "all"
    assert set(fields["manifest"]["cost"]["signatures"]) == {"train", "infer"}


def test_people_are_told_what_is_known_alone(mlp_artifact):
    found = inspect(mlp_artifact)
    text = dict(sections(found))
    assert {"", "policy", "provenance", "operators"} <= set(text)
    bare = dataclasses.replace(
        found, manifest=dataclasses.replace(found.manifest, cost={}, parity={})
    )
    headings = [heading for heading, _ in sections(bare)]
    assert not any("cost" in h or "parity" in h for h in headings)


def test_needs_no_package_at_all(mlp_artifact):
    out = run_python(
        """
        import sys
        for name in ("tensorflow", "ai_edge_litert", "tflite_runtime", "flatbuffers"):
            sys.modules[name] = None
        from fedp.device_runtime.inspection import inspect
        print(len(inspect(sys.argv[1]).signatures))
        """,
        mlp_artifact,
    )
    assert out == "6\n"


def test_what_is_no_artifact_is_refused(tmp_path):
    (tmp_path / "text.tflite").write_text("not an artifact, but long enough")
    for name in ("text.tflite", "missing.tflite"):
        with pytest.raises(ArtifactError, match=name):
            inspect(pathlib.Path(tmp_path / name))
