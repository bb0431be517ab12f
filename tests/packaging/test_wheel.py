"""What is built holds the package, all of it, and nothing else."""

from __future__ import annotations

import email
import pathlib
import zipfile

import pytest

from tests.packaging.building import (
    build,
    copy_sources,
    sdist_contents,
    tracked,
    wheel_contents,
)

FOLDERS = ("cli", "demo", "device_runtime", "export", "training")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, ...]:
    """The sdist, the wheel made from it, and a wheel made from the sources."""
    folder = tmp_path_factory.mktemp("packaging")
    sources = copy_sources(folder / "sources")
    build(sources, folder / "dist")
    build(sources, folder / "direct", "--wheel")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    (direct,) = (folder / "direct").glob("*.whl")
    return sdist, wheel, direct


def package_files() -> set[str]:
    """What the repository has for the package."""
    modules = {p for p in tracked(".py") if p.split("/")[0] in FOLDERS}
    kept = ("device_runtime/vectors/", "demo/page/")
    beside = {p for p in tracked() if p.startswith(kept)}
    return {"__init__.py", "py.typed"} | modules | beside


def test_wheel_holds_the_package_alone(built):
    contents = wheel_contents(built[1])
    information = {name for name in contents if ".dist-info/" in name}
    assert set(contents) - information == {f"fedp/{p}" for p in package_files()}
    assert any(name.endswith("licenses/LICENSE") for name in information)


def test_sdist_makes_the_same_wheel(built):
    sdist, wheel, direct = built
    assert wheel_contents(wheel) == wheel_contents(direct)
    contents = sdist_contents(sdist)
    assert package_files() <= contents
    assert {"pyproject.toml", "LICENSE", "README.md"} <= contents
    others = {name.split("/")[0] for name in contents} - {*FOLDERS, "fedp.egg-info"}
    assert not others & {"tests", "docs", "benchmarks", "examples", "build"}


def test_wheel_says_what_it_is(built):
    with zipfile.ZipFile(built[1]) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/METADATA"))
        about = email.message_from_bytes(archive.read(name))
        scripts = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert about["License-Expression"] == "Apache-2.0"
    assert set(about["Requires-Python"].split(",")) == {">=3.10", "<3.14"}
    assert "Typing :: Typed" in about.get_all("Classifier")
    assert "tensorflow" not in str(
        [r for r in about.get_all("Requires-Dist") if "extra" not in r]
    )
    assert scripts.split() == ["[console_scripts]", "fedp", "=", "fedp.cli:main"]
