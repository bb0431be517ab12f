"""An artifact's bytes: find the manifest, prove it whole, check who signed it.

Follows the offsets of the TFLite flatbuffer by hand, each of them checked, so that a
damaged file is an error before any interpreter sees a byte of it.
"""

from __future__ import annotations

import hashlib
import pathlib
import re
import struct

from fedp.device_runtime.contract import (
    MANIFEST_METADATA,
    NO_HASH,
    NO_SIGNATURE,
    Manifest,
)
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.offsets import field, string, u32, vector

# How every manifest begins. The hash is taken with itself as zeros, and what is signed
# is the hash with the signature as zeros too.
_SEAL = re.compile(rb'^\{"sha256":"([0-9a-f]{64})","signature":"([0-9a-f]{128})"')
_NO_HASH = f'{{"sha256":"{NO_HASH}"'.encode()
_NO_SEAL = _NO_HASH + f',"signature":"{NO_SIGNATURE}"'.encode()


def read_artifact(path: str | pathlib.Path) -> tuple[Manifest, bytes]:
    """Reads an artifact and proves that no byte of it has changed since its export.

    Returns:
        The manifest, and the whole file for an interpreter.

    Raises:
        ArtifactError: no such file, no TFLite file, no manifest, or a changed byte.
    """
    path = pathlib.Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"artifact {path}: {error.strerror or error}; give the path of a .tflite "
            "file that `fedp export` wrote"
        ) from error
    try:
        begin, end = find_manifest(content)
        if file_hash(content, begin) != content[begin + 11 : begin + 75].decode():
            raise ArtifactError(
                "it differs from what was exported (hash mismatch): copy or download "
                "it again"
            )
        return Manifest.from_json(content[begin:end]), content
    except ArtifactError as error:
        raise ArtifactError(f"artifact {path}: {error}") from error


def find_manifest(content: bytes) -> tuple[int, int]:
    """Finds the manifest in a TFLite flatbuffer: begin and end offset, in bytes.

    Follows Model.metadata (field 6) and Model.buffers (field 4) of the TFLite schema,
    with every offset checked, so that a damaged file is an error and never a crash.
    """
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise ArtifactError(
            f"not a TFLite file ({len(content)} bytes, no TFL3 mark): give a file that "
            "`fedp export` wrote"
        )
    try:
        model = u32(content, 0)
        buffers = vector(content, model, 4)
        for entry in vector(content, model, 6):
            if string(content, entry, 0) == MANIFEST_METADATA.encode():
                index = u32(content, field(content, entry, 1))
                data = field(content, buffers[index], 0)
                begin = data + u32(content, data) + 4
                end = begin + u32(content, begin - 4)
                if end <= len(content) and _SEAL.match(content[begin:end]):
                    return begin, end
                raise ArtifactError("its manifest is cut short: copy it again")
    except KeyError:  # No metadata at all.
        pass
    except (struct.error, IndexError) as error:
        raise ArtifactError(
            "its structure is damaged (cut short?): copy or download it again"
        ) from error
    raise ArtifactError(
        "it has no fedp manifest: only files that `fedp export` wrote can be adapted"
    )


def file_hash(content: bytes, manifest_begin: int) -> str:
    """SHA-256 of the file in hex, the hash in its manifest as zeros."""
    return _digest(content, manifest_begin, _NO_HASH).hex()


def signed_message(content: bytes, manifest_begin: int) -> bytes:
    """What a signature signs: a prefix and the file's hash before it was signed."""
    return b"fedp artifact\0" + _digest(content, manifest_begin, _NO_SEAL)


def _digest(content: bytes, begin: int, blank: bytes) -> bytes:
    digest = hashlib.sha256(memoryview(content)[:begin])
    digest.update(blank)
    digest.update(memoryview(content)[begin + len(blank) :])
    return digest.digest()
