"""The device install, from the built wheel into an empty environment, and its size."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from fedp.device_runtime.installed_size import installed_size
from tests.packaging.device_install import (
    build_wheel,
    doctor,
    install,
    install_for,
)

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "targets"))
from pythons import find_pythons  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Python, its interpreter, and the most megabytes (1e6 bytes) beside Python: on arm64,
# which devices have, and on x86-64, where OpenBLAS in NumPy's wheel is for more kinds
# of processors.
INSTALLS = [
    ("3.11", "tflite-runtime", {"aarch64": 60, "x86_64": 75}),
    ("3.12", "ai-edge-litert", {"aarch64": 105, "x86_64": 120}),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def pythons() -> dict[str, str]:
    return find_pythons()


@pytest.mark.parametrize(("version", "interpreter", "most"), INSTALLS)
def test_install_in_an_empty_environment(
    version, interpreter, most, wheel, pythons, tmp_path
):
    if version not in pythons:
        pytest.skip(f"no Python {version} here")
    found = doctor(install(wheel, tmp_path / "device", pythons[version]))
    sizes = found["device_install"]["packages"]
    assert {"fedp", "numpy", "click", interpreter} <= set(sizes)
    assert not {"pip", "setuptools"} & set(sizes)
    machine = found["machine"].split()[-1]
    assert found["device_install"]["bytes"] < most[machine] * 1e6, sizes
    assert found["packages"]["tensorflow"] is None
    for verb in ("personalize", "predict", "status", "bake", "verify", "inspect"):
        assert found["verbs"][verb]["ready"], verb
    assert found["verbs"]["train"]["mend"]


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
@pytest.mark.parametrize(("version", "interpreter", "most"), INSTALLS)
def test_size(version, interpreter, most, machine, wheel, pythons, tmp_path):
    if version not in pythons:
        pytest.skip(f"no Python {version} here")
    place = install_for(wheel, tmp_path / machine, pythons[version], machine)
    sizes = installed_size(place)
    assert {"fedp", "numpy", "click", interpreter} <= set(sizes)
    print(version, machine, round(sum(sizes.values()) / 1e6, 1), sizes)
    assert sum(sizes.values()) < most[machine] * 1e6, sizes


def test_extra_for_the_other_interpreter(wheel, pythons, tmp_path):
    """LiteRT on a Python that has tflite-runtime: both count."""
    if "3.11" not in pythons:
        pytest.skip("no Python 3.11 here")
    found = doctor(install(wheel, tmp_path / "both", pythons["3.11"], "[litert]"))
    sizes = found["device_install"]["packages"]
    assert {"tflite-runtime", "ai-edge-litert"} <= set(sizes)


def test_pip_in_a_typed_project(wheel, pythons, tmp_path):
    """`py.typed` is where a type checker looks for it."""
    if "3.11" not in pythons:
        pytest.skip("no Python 3.11 here")
    (place,) = install_for(wheel, tmp_path / "typed", pythons["3.11"], "x86_64")
    using = tmp_path / "using.py"
    using.write_text(
        "from fedp.device_runtime import Personalizer\nreveal_type(Personalizer.open)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--python-executable",
            sys.executable,
        ]
        + ["--cache-dir", str(tmp_path / "cache"), str(using)],
        capture_output=True,
        text=True,
        env={"MYPYPATH": place, "PATH": "/usr/bin:/bin"},
    )
    assert "fedp.device_runtime.personalizer.Personalizer" in done.stdout, done.stdout
