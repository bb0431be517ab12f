"""An artifact's bytes: find the manifest, prove it whole, check who signed it.

Follows the offsets of the TFLite flatbuffer by hand, each of them checked, so that a
damaged file is an error before any interpreter sees a byte of it.
"""

from __future__ import annotations

import hashlib
import pathlib
import re
import struct
from collections.abc import Callable

from fedp.device_runtime.contract import (
    MANIFEST_METADATA,
    NO_HASH,
    NO_SIGNATURE,
    Manifest,
)
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.offsets import field, string, u32, vector
from fedp.device_runtime.signing import PublicKey, check_signature, raw_public_key

# How every manifest begins. The hash is taken with itself as zeros, and what is signed
# is the hash with the signature as zeros too.
_SEAL = re.compile(rb'^\{"sha256":"([0-9a-f]{64})","signature":"([0-9a-f]{128})"')
_NO_HASH = f'{{"sha256":"{NO_HASH}"'.encode()
_NO_SEAL = _NO_HASH + f',"signature":"{NO_SIGNATURE}"'.encode()
_HASH, _SIGNATURE = slice(11, 75), slice(90, 218)  # of a manifest


def read_artifact(
    path: str | pathlib.Path, public_key: PublicKey | None = None
) -> tuple[Manifest, bytes]:
    """Reads an artifact, once, and proves that no byte has changed since its export.

    Args:
        path: of the file that `fedp export` wrote.
        public_key: of whoever must have signed it, see `PublicKey`; with None, anyone
            may have made it, and what is found is damage alone.

    Returns:
        The manifest, and the whole file for an interpreter.

    Raises:
        ArtifactError: no such file, no TFLite file, no manifest, a changed byte, or
            not signed by the key's owner.
        SigningKeyError: the public key cannot be read.
        MissingDependencyError: a key is given and `cryptography` is not installed.
    """
    raw_key = None if public_key is None else raw_public_key(public_key)
    path = pathlib.Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"artifact {path}: {error.strerror or error}; give the path of a .tflite "
            "file that `fedp export` wrote"
        ) from error
    try:
        return parse_artifact(content, raw_key), content
    except ArtifactError as error:
        raise ArtifactError(f"artifact {path}: {error}") from error


def parse_artifact(content: bytes, raw_key: bytes | None = None) -> Manifest:
    """The manifest of an artifact's bytes, once hash and signature are proved.

    Args:
        content: the whole file.
        raw_key: what `raw_public_key` gave.

    Raises:
        ArtifactError: see `read_artifact`.
    """
    begin, end = find_manifest(content)
    manifest = content[begin:end]
    if file_hash(content, begin) != manifest[_HASH].decode():
        raise ArtifactError(
            "it differs from what was exported (hash mismatch): copy or download it "
            "again"
        )
    if raw_key is not None:
        signature = manifest[_SIGNATURE].decode()
        if signature == NO_SIGNATURE:
            raise ArtifactError(
                "it is not signed, and a public key is given: export it with --sign, "
                "or get it from whoever signs it"
            )
        message = signed_message(content, begin)
        check_signature(message, bytes.fromhex(signature), raw_key)
    return Manifest.from_json(manifest)


def seal(content: bytes, sign: Callable[[bytes], bytes] | None = None) -> bytes:
    """Fills in a file's signature, if it is to have one, and then its hash.

    Args:
        content: an artifact, whatever its seal.
        sign: gives the 64 bytes of a signature; None leaves the file unsigned.

    Raises:
        ArtifactError: there is no manifest in it.
    """
    begin, _ = find_manifest(content)
    sealed = bytearray(content)

    def put(field: slice, text: str) -> None:
        sealed[begin + field.start : begin + field.stop] = text.encode()

    message = signed_message(content, begin)
    put(_SIGNATURE, sign(message).hex() if sign else NO_SIGNATURE)
    put(_HASH, file_hash(bytes(sealed), begin))
    return bytes(sealed)


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
