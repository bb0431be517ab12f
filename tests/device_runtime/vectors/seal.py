"""Files of an artifact's form, without a graph: manifest, hash, signature, damage.

They are written by hand from the flatbuffers format, as a second opinion on the reader.
"""

import base64
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from fedp.device_runtime import artifact_file
from fedp.device_runtime.contract import Manifest, Policy, WeightSpec
from fedp.device_runtime.errors import ArtifactError

MANIFEST = Manifest(
    model="mlp",
    input_shape=(28, 28, 1),
    batch_size=20,
    classes=("0", "1", "é"),
    weights=(WeightSpec("w0", "dense/kernel:0", (784, 3)), WeightSpec("w1", "b", (3,))),
    policy=Policy(learning_rate=0.1, epochs=3, caution=0.75),
)
SECRET, OTHER = bytes(range(32)), bytes(32)


def vectors() -> list[dict[str, Any]]:
    """Good files and bad ones; needs `cryptography`."""
    return list(_cases())


def _cases() -> Iterator[dict[str, Any]]:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    keys = [ed25519.Ed25519PrivateKey.from_private_bytes(k) for k in (SECRET, OTHER)]
    public = keys[0].public_key().public_bytes_raw()
    text = MANIFEST.to_json()
    other = ("min_runtime_version", b"1.5.0")
    blank = _file([other, ("fedp_manifest", text)])
    unsigned = artifact_file.seal(blank)
    signed = artifact_file.seal(blank, keys[0].sign)
    begin, end = artifact_file.find_manifest(signed)

    def changed(content: bytes, at: int) -> bytes:
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    yield _vector("unsigned", unsigned, public)
    yield _vector("signed", signed, public)
    yield _vector(
        "signed by another key", artifact_file.seal(blank, keys[1].sign), public
    )
    newer = text.replace(b'"contract":2', b'"contract":3')
    assert newer != text
    newer = artifact_file.seal(_file([("fedp_manifest", newer)]), keys[0].sign)
    yield _vector("another contract", newer, public)
    yield _vector("hash not filled in", blank, public)
    yield _vector("a changed byte before the manifest", changed(signed, 9), public)
    yield _vector("a changed byte of the hash", changed(signed, begin + 11), public)
    yield _vector(
        "a changed byte of the signature", changed(signed, begin + 90), public
    )
    yield _vector("a changed byte of the policy", changed(signed, end - 9), public)
    resealed = changed(signed, begin + 90)
    digest = artifact_file.file_hash(resealed, begin).encode()
    resealed = resealed[: begin + 11] + digest + resealed[begin + 75 :]
    yield _vector("a changed signature, the hash made right", resealed, public)
    yield _vector("a byte too many", signed + b"\0", public)
    yield _vector("cut in the manifest", signed[: begin + 300], public)
    yield _vector("cut before the manifest", signed[:40], public)
    yield _vector("no manifest", _file([other]), public)
    yield _vector(
        "no TFLite file", b"PK\3\4" + signed[4:8].lower() + signed[8:], public
    )
    yield _vector("nothing", b"", public)


def _vector(name: str, content: bytes, public: bytes) -> dict[str, Any]:
    """Offsets count bytes of the file; null where no manifest is found."""
    found: dict[str, Any] = {"name": name, "public_key": public.hex()}
    try:
        begin, end = artifact_file.find_manifest(content)
    except ArtifactError:
        found |= dict.fromkeys(("begin", "end", "file_hash", "signed_message"))
    else:
        found |= {
            "begin": begin,
            "end": end,
            "file_hash": artifact_file.file_hash(content, begin),
            "signed_message": artifact_file.signed_message(content, begin).hex(),
        }
    for field, key in (("error", None), ("error_with_key", public)):
        found[field] = error_of(content, key)
    return {**found, "file": base64.b64encode(content).decode()}


def error_of(content: bytes, key: bytes | None) -> str | None:
    """Why a file is refused."""
    try:
        artifact_file.parse_artifact(content, key)
    except ArtifactError as error:
        return str(error)
    return None


def _file(entries: Sequence[tuple[str, bytes]]) -> bytes:
    """Model{buffers: [empty, entry, ...], metadata: [{name, buffer}, ...]}."""
    out = bytearray(struct.pack("<I4s", 28, b"TFL3"))
    # Model's vtable: 18 bytes for fields 0..6, a table of 12; fields 4 and 6 are there.
    out += struct.pack("<9Hxx", 18, 12, 0, 0, 0, 0, 4, 0, 8)
    out += struct.pack("<iII", 20, 0, 0)

    def link(at: int) -> None:
        """Makes the offset at `at` point to what comes next."""
        out.extend(bytes(-len(out) % 4))
        struct.pack_into("<I", out, at, len(out) - at)

    def vector(at: int, count: int) -> list[int]:
        link(at)
        out.extend(struct.pack("<I", count) + bytes(4 * count))
        return [len(out) - 4 * (count - i) for i in range(count)]

    def text(at: int, content: bytes) -> None:
        link(at)
        out.extend(struct.pack("<I", len(content)) + content + b"\0")

    slots = vector(32, len(entries) + 1)
    for slot, data in zip(slots, [None, *(data for _, data in entries)], strict=True):
        out.extend(bytes(-len(out) % 4))
        vtable = len(out)
        out += struct.pack("<3Hxx", 6, 8, 4) if data else struct.pack("<2H", 4, 4)
        link(slot)
        table = len(out)
        out += struct.pack("<i", table - vtable)
        if data:
            out += bytes(4)
            text(table + 4, data)
    for number, slot in enumerate(vector(36, len(entries)), 1):
        out.extend(bytes(-len(out) % 4))
        vtable = len(out)
        out += struct.pack("<4H", 8, 12, 4, 8)
        link(slot)
        table = len(out)
        out += struct.pack("<iII", table - vtable, 0, number)
        text(table + 4, entries[number - 1][0].encode())
    return bytes(out)
