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


@pytest.fixture(scope="module")
def both(wheel, pythons, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """`fedp` where LiteRT stands beside tflite-runtime."""
    if "3.11" not in pythons:
        pytest.skip("no Python 3.11 here")
    folder = tmp_path_factory.mktemp("both")
    return install(wheel, folder, pythons["3.11"], "[litert]")


def test_both_interpreters_count(both):
    found = doctor(both)
    sizes = found["device_install"]["packages"]
    assert {"tflite-runtime", "ai-edge-litert"} <= set(sizes)


def test_type_checkers_see_the_types(both, tmp_path):
    """They look for `py.typed`, and take everything for Any where it is missing."""
    using = tmp_path / "using.py"
    using.write_text(
        "from fedp.device_runtime import Personalizer\nreveal_type(Personalizer.open)\n"
    )
    options = ("--strict", "--cache-dir", str(tmp_path), "--python-executable")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(both.parent / "python"), using],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert "-> fedp.device_runtime.personalizer.Personalizer" in done.stdout, done
