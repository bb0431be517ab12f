"""A device has NumPy and an interpreter: nothing else may be imported."""

import pathlib
import subprocess
import sys
import textwrap

import numpy as np

from .conftest import make_examples


def run_python(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_works_where_tensorflow_cannot_be_imported(
    kind: str, mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    x, y = make_examples(80)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    out = run_python(
        """
        import sys
        for name in (
            "tensorflow", "tensorflow_federated", "keras", "jax", "flatbuffers",
            "fedp.training", "fedp.export",
        ):
            sys.modules[name] = None
        from fedp.device_runtime import Budget, Personalizer
        from fedp.device_runtime.examples import read_arrays
        artifact, state, data, kind = sys.argv[1:]
        x, y = read_arrays(data, "x", "y")
        with Personalizer.open(artifact, state, interpreter=kind) as device:
            device.predict(x)
            device.personalize(x, y, budget=Budget(epochs=30))
            device.bake()
            device.rollback()
            device.personalize(x, y, budget=Budget(epochs=30))
            device.predict(x)
        with Personalizer.open(artifact, state, interpreter=kind) as device:
            print(device.status().live, device.reset().live)
        """,
        mlp_artifact,
        tmp_path / "state",
        tmp_path / "data.npz",
        kind,
    )
    assert out == "2 initial\n"


def test_a_first_answer_imports_nothing_but_numpy_and_the_interpreter(
    kind: str, mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """No click, rich or cryptography, and of fedp the device runtime alone."""
    out = run_python(
        """
        import importlib, sys
        artifact, state, kind = sys.argv[1:]
        import numpy
        importlib.import_module(f"{kind}.interpreter")
        before = set(sys.modules)
        from fedp.device_runtime import Personalizer
        with Personalizer.open(artifact, state, interpreter=kind) as device:
            device.predict(numpy.zeros((1, 28, 28), numpy.uint8))
        for name in sorted(set(sys.modules) - before):
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top in ("numpy", kind):
                continue
            if name != "fedp" and not name.startswith("fedp.device_runtime"):
                print(name)
        """,
        mlp_artifact,
        tmp_path / "state",
        kind,
    )
    assert out == ""
