"""The device runtime on arm64: Debian's packages under qemu-user; no root is needed.

Nothing is installed: Debian's packages and the aarch64 wheels are unpacked into
build/arm64. DEBIAN_MIRROR is a mirror's address, or a folder with the .deb files of all
of `PACKAGES` and what they need. Usage: python tests/targets/arm64.py ARTIFACTS
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
from linked_package import link_package

ROOT = pathlib.Path(__file__).parents[2]
CACHE = ROOT / "build" / "arm64"
PACKAGES = "python3.11-minimal libpython3.11-stdlib libstdc++6 zlib1g".split()
RELEASE, KEYRING = "bookworm", "/usr/share/keyrings/debian-archive-keyring.gpg"
TAGS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux_2_17")
# Both hosts compute in float32, in another order: about ten roundings of a loss near 4.
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 5e-6, 1e-6
# Under qemu the builtin models take minutes; their steps are what vectors.py runs.
TESTS = (
    "contract contract_document vectors guards evidence manifest_check weights store "
    "tflite_buffers inspection verification"
).split()
# LiteRT looks here for what the processor can do, and crashes at an x86 one.
CPUINFO = """processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd08
CPU revision\t: 3
"""
SITE = """import os, sys
sys.executable = os.environ["FEDP_PYTHON"]
"""


def command(*parts: object, cwd: pathlib.Path | None = None) -> str:
    """Runs it and returns what it prints, or ends with the last line it said."""
    parts = tuple(map(str, parts))
    try:
        done = subprocess.run(parts, capture_output=True, text=True, cwd=cwd)
    except OSError as error:
        sys.exit(f"{parts[0]}: {error.strerror}: it is needed to unpack Debian's files")
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        sys.exit(f"{' '.join(parts[:3])} failed: {said[-1]}")
    return done.stdout


def fetch_packages() -> list[pathlib.Path]:
    """Debian's files: of a folder, or from the mirror, with apt's signature check."""
    mirror = os.environ.get("DEBIAN_MIRROR", "")
    if mirror and pathlib.Path(mirror).is_dir():
        return sorted(pathlib.Path(mirror).glob("*.deb"))
    if mirror and "://" not in mirror:
        sys.exit(f"DEBIAN_MIRROR={mirror} is neither an address nor a folder")
    if not mirror:
        which = ("Created-By: Packages", f"Release: {RELEASE}")
        form = ("--format", "$(REPO_URI)")
        known = command("apt-get", "indextargets", *form, *which).split()
        found = [uri for uri in known if uri.rstrip("/").endswith("/debian")]
        if not found:
            sys.exit("apt knows no Debian mirror: give DEBIAN_MIRROR=address or folder")
        mirror = found[0]
    apt = CACHE / "apt"
    archives = apt / "archives"
    for folder in (apt / "lists" / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    # No package counts as installed, so all that is needed is fetched.
    (apt / "status").touch()
    source = f"deb [signed-by={KEYRING}] {mirror} {RELEASE} main\n"
    (apt / "sources.list").write_text(source)
    host = command("dpkg", "--print-architecture").strip()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": f"arm64,{host}",
        "APT::Install-Recommends": "0",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "1",
        "Dir::Cache": apt,
        "Dir::Cache::archives": archives,
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    command("apt-get", "-qq", *options, "update", "--error-on=any")
    command("apt-get", "-qq", *options, "install", "-y", "--download-only", *PACKAGES)
    if not shutil.which("qemu-aarch64-static"):
        name = f"qemu-user-static:{host}"
        command("apt-get", "-qq", *options, "download", name, cwd=archives)
    return sorted(archives.glob("*.deb"))


def set_up() -> None:
    """Unpacks everything into the cache."""
    for package in fetch_packages():
        part = "qemu" if package.name.startswith("qemu") else "root"
        command("dpkg-deb", "-x", package, CACHE / part)
    site = CACHE / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target", site]
    tags = [f"--platform={tag}_aarch64" for tag in (*TAGS, "manylinux2014")]
    wheels = ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
    requirements = ROOT / "requirements" / "device_tests.txt"
    command(*pip, *wheels, *tags, "-r", requirements)
    # Apart, since importing it changes how the whole process computes.
    shutil.rmtree(CACHE / "tflite", ignore_errors=True)
    (CACHE / "tflite").mkdir()
    for path in site.glob("tflite_runtime*"):
        path.rename(CACHE / "tflite" / path.name)
    (CACHE / "root" / "proc").mkdir(exist_ok=True)
    (CACHE / "root" / "proc" / "cpuinfo").write_text(CPUINFO)
    (site / "sitecustomize.py").write_text(SITE)
    link_package(site)
    qemu = shutil.which("qemu-aarch64-static", path=CACHE / "qemu" / "usr" / "bin")
    qemu = qemu or shutil.which("qemu-aarch64-static")
    if not qemu:
        sys.exit("no qemu-aarch64-static: install qemu-user-static, or add its .deb")
    python = CACHE / "python"
    root = CACHE / "root"
    line = f'exec "{qemu}" -L "{root}" "{root}/usr/bin/python3.11" "$@"'
    python.write_text(f"#!/bin/sh\n{line}\n")
    python.chmod(0o755)
    (CACHE / "ready").write_text(requirements.read_text())


def compare(arm: pathlib.Path, here: pathlib.Path) -> bool:
    """Prints the largest differences of each artifact and interpreter."""
    passed = True
    with np.load(arm) as a, np.load(here) as b:
        for group in sorted({name.rpartition("/")[0] for name in a.files}):
            names = [n for n in a.files if n.startswith(f"{group}/")]
            gaps = {n: float(np.abs(a[n] - b[n]).max()) for n in names}
            loss = gaps.pop(f"{group}/loss")
            weight = max(gaps.values())
            same = sum(int((a[n] == b[n]).sum()) for n in gaps)
            share = same / sum(a[n].size for n in gaps)
            # Written so that NaN fails.
            good = loss <= LOSS_TOLERANCE and weight <= WEIGHT_TOLERANCE
            passed = passed and good
            print(
                f"{group}: losses within {loss:.1e} (allowed {LOSS_TOLERANCE:.0e}), "
                f"weights within {weight:.1e} (allowed {WEIGHT_TOLERANCE:.0e}), "
                f"{share:.1%} of them equal in every bit: {'ok' if good else 'FAILED'}"
            )
    return passed


def main(artifacts: str) -> int:
    started = time.monotonic()
    ready, wanted = CACHE / "ready", ROOT / "requirements" / "device_tests.txt"
    if not (ready.exists() and ready.read_text() == wanted.read_text()):
        set_up()
    print(f"set-up: {time.monotonic() - started:.0f} s")
    python, temporary = CACHE / "python", CACHE / "tmp"
    temporary.mkdir(exist_ok=True)
    arm = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS")}
    arm |= {
        "FEDP_PYTHON": str(python),
        "FEDP_DEVICE_ARTIFACTS": str(pathlib.Path(artifacts).resolve()),
        "PYTHONPATH": f"{CACHE / 'site'}:{CACHE / 'tflite'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(temporary),
    }
    vectors = [ROOT / "tests" / "targets" / "vectors.py", artifacts]
    on_arm = subprocess.run([python, *vectors, CACHE / "arm64.npz"], env=arm)
    here = subprocess.run([sys.executable, *vectors, CACHE / "host.npz"])
    if on_arm.returncode or here.returncode:
        return 1
    same = compare(CACHE / "arm64.npz", CACHE / "host.npz")
    folder = ROOT / "tests" / "device_runtime"
    tests = [folder / f"test_{name}.py" for name in TESTS]
    pytest = [python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    passed = []
    for title, path in (
        ("LiteRT and tflite-runtime", arm["PYTHONPATH"]),
        ("LiteRT alone", str(CACHE / "site")),
    ):
        print(f"the device's tests with {title}:", flush=True)
        suite = subprocess.run(
            [*pytest, "--timeout=900", *tests], env=arm | {"PYTHONPATH": path}, cwd=ROOT
        )
        passed.append(suite.returncode == 0)
    shutil.rmtree(temporary, ignore_errors=True)
    print(f"all of it: {time.monotonic() - started:.0f} s")
    return 0 if same and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
