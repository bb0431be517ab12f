"""Ed25519 signatures (RFC 8032): whether a file comes from whom it should come from.

Nothing else on the device imports `cryptography`, and only once a key is given.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from fedp.device_runtime.errors import (
    ArtifactError,
    MissingDependencyError,
    SigningKeyError,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519

# A PEM file's path, its bytes, or the 32 bytes of the key itself.
PublicKey = str | pathlib.Path | bytes

_RAW_BYTES = 32


def require_cryptography() -> None:
    """Says what to install where signatures cannot be made or checked.

    Raises:
        MissingDependencyError: the package `cryptography` is not installed.
    """
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "signatures need the package cryptography, which is not installed: "
            "pip install 'cryptography>=42'"
        ) from error


def raw_public_key(key: PublicKey) -> bytes:
    """The 32 bytes of a key, however it is given.

    Raises:
        SigningKeyError: the file cannot be read, or holds no public Ed25519 key.
        MissingDependencyError: the package `cryptography` is not installed.
    """
    require_cryptography()
    from cryptography.hazmat.primitives import serialization

    name, content = _content(key)
    if len(content) == _RAW_BYTES:
        return content
    loaded = _load(name, content)
    return loaded.public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )


def check_signature(message: bytes, signature: bytes, public_key: bytes) -> None:
    """Proves that the owner of a key signed a message.

    Args:
        message: what was signed.
        signature: 64 bytes.
        public_key: what `raw_public_key` gave.

    Raises:
        ArtifactError: the signature is another key's, or the message has changed.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ed25519

    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, message)
    except InvalidSignature as error:
        raise ArtifactError(
            "its signature is not of this public key: use no such file, or give the "
            "public key of whoever exported it"
        ) from error


def _content(key: PublicKey) -> tuple[str, bytes]:
    """What to call a key in messages, and its bytes."""
    if isinstance(key, bytes):
        return "the public key", key
    try:
        return f"public key {key}", pathlib.Path(key).read_bytes()
    except OSError as error:
        raise SigningKeyError(
            f"public key {key}: {error.strerror or error}; give the KEY.pub that "
            "`fedp keygen` wrote"
        ) from error


def _load(name: str, content: bytes) -> ed25519.Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = "no PEM public key"
    if b"PRIVATE KEY-----" in content:
        found = "a private key, which has no place on a device"
    else:
        try:
            key = load_pem_public_key(content)
            if isinstance(key, ed25519.Ed25519PublicKey):
                return key
            found = f"a key of the kind {type(key).__name__.strip('_')}"
        except (ValueError, UnsupportedAlgorithm):
            pass
    raise SigningKeyError(
        f"{name} holds {found}; an Ed25519 public key in PEM is needed: give the "
        "KEY.pub that `fedp keygen` wrote"
    )
