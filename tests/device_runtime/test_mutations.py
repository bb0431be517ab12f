"""20,000 damaged and forged artifacts: each one is an ArtifactError of one line."""

from __future__ import annotations

import json
import pathlib
import random
import struct
from collections.abc import Callable

import pytest

from fedp.device_runtime import (
    Personalizer,
    artifact_file,
    inference_model,
    inspection,
    offsets,
    session,
)
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.weights import blob_size

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")

KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RAW = KEY.public_key().public_bytes_raw()
FORGER = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


class Mutator:
    """Changes one artifact at random; `other` is what it is spliced with."""

    def __init__(self, content: bytes, other: bytes) -> None:
        self.content, self.other = content, other
        self.begin, self.end = artifact_file.find_manifest(content)
        self.offsets = offsets_of(content)

    def __call__(self, draw: random.Random) -> bytes:
        changed = bytearray(self.content)
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            draw.choice(MUTATIONS)(self, changed, draw)
        return bytes(changed)

    def flip(self, changed: bytearray, draw: random.Random) -> None:
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)

    def overwrite(self, changed: bytearray, draw: random.Random) -> None:
        at = draw.randrange(len(changed) + 1)
        size = draw.choice((1, 2, 4, 16, 300))
        new = draw.choice((draw.randbytes(size), b"\0" * size, b"\xff" * size))
        changed[at : at + size] = new[: len(changed) - at]

    def cut(self, changed: bytearray, draw: random.Random) -> None:
        del changed[draw.choice((draw.randrange(len(changed) + 1), 8, 40)) :]

    def lengthen(self, changed: bytearray, draw: random.Random) -> None:
        changed += draw.choice((b"\0", b"\n", draw.randbytes(40), changed[:500]))

    def move(self, changed: bytearray, draw: random.Random) -> None:
        """Swaps, duplicates or removes a block."""
        size = draw.choice((1, 4, 16, 256, 4096))
        a, b = (draw.randrange(len(changed) + 1) for _ in range(2))
        one, two = changed[a : a + size], changed[b : b + size]
        kind = draw.randrange(3)
        if kind == 0 and len(one) == len(two):
            changed[a : a + size], changed[b : b + size] = two, one
        elif kind == 1:
            changed[b:b] = one
        else:
            del changed[a : a + size]

    def splice(self, changed: bytearray, draw: random.Random) -> None:
        at = draw.randrange(len(self.other))
        if draw.random() < 0.5:
            changed[at:] = self.other[at:]
        else:
            changed[at : at + 1000] = self.other[at : at + 1000]

    def edit_json(self, changed: bytearray, draw: random.Random) -> None:
        at = draw.randrange(self.begin, self.end)
        new = bytes(draw.choice(b'{}[],:"0a9-.eENI\\ \n\0\xc3') for _ in range(3))
        changed[at : at + draw.randrange(4)] = new[: draw.randrange(4)]

    def edit_seal(self, changed: bytearray, draw: random.Random) -> None:
        """Hash or signature: other digits, capitals, or another length."""
        at = self.begin + draw.choice((11, 90)) + draw.randrange(64)
        kind = draw.randrange(4)
        if kind == 0:
            changed[at : at + 1] = draw.choice(("0", "f", "A", "g", '"')).encode()
        elif kind == 1:
            changed[at:at] = b"0" * draw.choice((1, 2, 64))
        elif kind == 2:
            del changed[at : at + draw.choice((1, 2, 64))]
        else:
            changed[self.begin : self.end] = changed[self.begin : self.end].upper()

    def edit_length(self, changed: bytearray, draw: random.Random) -> None:
        """Of the manifest."""
        size = self.end - self.begin + draw.choice((-1, 1, -300, 300, 10**9))
        changed[self.begin - 4 : self.begin] = struct.pack("<I", max(size, 0))

    def point_elsewhere(self, changed: bytearray, draw: random.Random) -> None:
        """An offset or a count of the tables on the way to the manifest."""
        at, form = draw.choice(self.offsets)
        size = struct.calcsize(form)
        number = draw.choice((*NUMBERS, draw.randrange(len(changed) + 1)))
        number %= 256**size
        changed[at : at + size] = number.to_bytes(size, "little")


MUTATIONS: list[Callable[[Mutator, bytearray, random.Random], None]] = [
    value
    for name, value in vars(Mutator).items()
    if callable(value) and not name.startswith("__")
]


def offsets_of(content: bytes) -> list[tuple[int, str]]:
    """Where the numbers stand that lead to the manifest, and their format."""
    read = struct.unpack_from
    found = [(0, "<I")]

    def table(at: int) -> None:
        found.append((at, "<i"))
        vtable = at - read("<i", content, at)[0]
        size = read("<H", content, vtable)[0]
        found.extend((vtable + i, "<H") for i in range(0, size, 2))
        for i in range(4, size, 2):
            if field := read("<H", content, vtable + i)[0]:
                found.append((at + field, "<I"))

    model = read("<I", content, 0)[0]
    table(model)
    for number in (4, 6):
        field = offsets.field(content, model, number)
        start = field + read("<I", content, field)[0]
        entries = offsets.vector(content, model, number)
        found += [(start + 4 * i, "<I") for i in range(len(entries) + 1)]
        for entry in entries[-2:]:
            table(entry)
    return found


@pytest.fixture(scope="module")
def originals(small_export) -> list[bytes]:
    """Unsigned and signed."""
    return [small_export.content, small_export.signed(KEY.sign).content]


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object) -> None:
        raise AssertionError("the file reached an interpreter")

    for module in (session, inference_model):
        monkeypatch.setattr(module, "load_interpreter", reached)


def mutants(originals: list[bytes], count: int, seed: int):
    """So many files that are none of the originals."""
    one, two = originals
    mutators = [Mutator(one, two), Mutator(two, one)]
    draw = random.Random(seed)
    while count:
        changed = mutators[count % 2](draw)
        if changed not in originals:
            count -= 1
            yield changed


def refusal(action: Callable[..., object], *args: object, **kwargs: object) -> str:
    """The one line that it is refused with."""
    try:
        action(*args, **kwargs)
    except ArtifactError as error:
        line = str(error)
        assert line and "\n" not in line and len(line) < 600
        return line
    raise AssertionError("it was opened")


@pytest.mark.usefixtures("no_interpreter")
def test_20_000_mutated_artifacts(originals: list[bytes], tmp_path: pathlib.Path):
    assert 20_000 < len(originals[0]) < 60_000
    path, seen = tmp_path / "m.tflite", set()
    for number, changed in enumerate(mutants(originals, 20_000, seed=1)):
        key = RAW if number % 4 > 1 else None
        if number % 10:  # What opening does with the bytes, once it has read them.
            line = refusal(artifact_file.parse_artifact, changed, key)
        else:
            path.write_bytes(changed)
            line = refusal(Personalizer.open, path, public_key=key)
            assert str(path) in line
        seen.add(line.rpartition("tflite: ")[2][:12])
    # Every way to refuse a file that nobody has made on purpose.
    assert len(seen) >= 5, seen


@pytest.mark.usefixtures("no_interpreter")
def test_mutated_and_sealed_again(originals: list[bytes], tmp_path: pathlib.Path):
    """Whoever has no key can still make the hash right, and sign with another key."""
    kept = bytes.fromhex(artifact_file.parse_artifact(originals[1]).signature)
    signers = (None, FORGER.sign, lambda _: kept)
    path, sealed, read = tmp_path / "m.tflite", 0, 0
    for number, changed in enumerate(mutants(originals, 5_000, seed=2)):
        try:
            forged = artifact_file.seal(changed, signers[number % 3])
        except ArtifactError:
            continue
        if forged in originals:  # Only the seal was mutated.
            continue
        sealed += 1
        path.write_bytes(forged)
        line = refusal(Personalizer.open, path, public_key=RAW)
        assert "signed" in line or "signature" in line
        # Without a key an interpreter would get it, so this stops short of that.
        try:
            check_usable(artifact_file.parse_artifact(forged))
            read += 1
            # Shown to people without any key, but by no interpreter.
            assert list(inspection.sections(inspection.inspect(path)))
        except ArtifactError as error:
            assert "\n" not in str(error)
    assert sealed > 1_000 and read > 500


WEIRD = (
    *(None, True, False, -1, 0, 1, 2, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.5),
    *(1e308, float("nan"), float("inf"), "", "x", "0", "\ud800", "a\nb", "w" * 10_000),
    *([], [[]], [1], [0], [-1], [1.5], [None], ["x"], [2**31], [2**20] * 4, [1] * 99),
    *({}, {"x": 1}, {"name": "w0"}, {"name": "w0", "layer": 1, "shape": [1]}),
)


def places(value: object, path: tuple = ()):
    """Paths of all that is in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in inner:
        yield (*path, key)
        if isinstance(child, (dict, list)):
            yield from places(child, (*path, key))


def change_json(text: bytes, draw: random.Random) -> bytes:
    """One field of a manifest replaced, dropped, added or doubled."""
    fields = json.loads(text)
    *path, last = draw.choice(list(places(fields)))
    holder = fields
    for key in path:
        holder = holder[key]
    kind = draw.randrange(6)
    if kind == 0:
        del holder[last]
    elif kind == 1 and isinstance(holder, dict):
        holder[draw.choice(("x", "", "é", "__class__"))] = draw.choice(WEIRD)
    elif kind == 2 and isinstance(holder, list):
        holder.append(draw.choice((holder[0], draw.choice(WEIRD))))
    elif kind == 3:
        size = draw.choice((3, 20, 500, 100_000))
        mark = json.dumps("deep")
        holder[last] = "deep"
        whole = json.dumps(fields)
        return whole.replace(mark, "[" * size + "]" * size, 1).encode()
    elif kind == 4:
        whole = json.dumps(fields)
        name = draw.choice(("contract", "weights", "batch_size", "sha256"))
        return (whole[:-1] + f',"{name}":{json.dumps(draw.choice(WEIRD))}}}').encode()
    else:
        holder[last] = draw.choice(WEIRD)
    return json.dumps(fields, ensure_ascii=draw.random() < 0.5).encode(
        "utf-8", "surrogatepass"
    )


def check_usable(manifest: Manifest) -> None:
    """What the runtime does with a manifest before any interpreter."""
    assert 0 < blob_size(manifest.weights) < 2**33
    assert 0 < manifest.policy.learning_rate < float("inf")
    assert all(type(n) is int and n > 0 for n in manifest.input_shape)
    assert manifest.batch_size > 0 and manifest.policy.epochs >= 0
    assert all(isinstance(label, str) for label in manifest.classes)
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_forged_manifests(originals: list[bytes]):
    begin, end = artifact_file.find_manifest(originals[0])
    draw, refused = random.Random(3), 0
    for _ in range(3_000):
        text = change_json(originals[0][begin:end], draw)
        try:
            manifest = Manifest.from_json(text)
            check_usable(manifest)
            found = inspection.Inspection(pathlib.Path("m"), manifest, (), {})
            assert list(inspection.sections(found)) and json.dumps(found.to_json())
        except ArtifactError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600
    assert 1_500 < refused < 3_000
