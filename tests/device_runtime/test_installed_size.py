"""The size of what is installed, on packages that were never installed."""

from fedp.device_runtime.installed_size import installed_size


def package(folder, name, size, *requires, record=True):
    """Files as pip leaves them."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_bytes(b"#" * size)
    (folder / name / "cached.pyc").write_bytes(b"#" * 1000)
    information = folder / f"{name}-1.dist-info"
    information.mkdir()
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (information / "METADATA").write_text(f"Name: {name}\nVersion: 1\n{needs}")
    files = (f"{name}/__init__.py", f"{name}/cached.pyc", f"{name}/gone.py")
    if record:
        (information / "RECORD").write_text("".join(f"{f},,\n" for f in files))


def test_what_fedp_needs_is_counted_and_nothing_else(tmp_path):
    package(
        tmp_path,
        "fedp",
        100,
        "NumPy<2,>=1; python_version < '3.12'",
        "for_other.pythons>=1; python_version >= '3.99'",
        "server; extra == 'train'",
    )
    package(tmp_path, "numpy", 3000, "below (>=1)", 'tests; extra == "test"')
    package(tmp_path, "below", 20, "fedp")  # A circle ends.
    for other in ("server", "tests", "pip", "setuptools"):
        package(tmp_path, other, 5000)
    assert installed_size([str(tmp_path)]) == {"numpy": 3000, "fedp": 100, "below": 20}
    assert list(installed_size([str(tmp_path)])) == ["numpy", "fedp", "below"]


def test_what_no_installer_installed_has_no_size(tmp_path):
    assert installed_size([str(tmp_path)]) == {}
    package(tmp_path, "fedp", 100, record=False)
    assert installed_size([str(tmp_path)]) == {"fedp": 0}
