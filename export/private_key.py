"""The exporter's half of a signature: make a key pair, read the private key, sign."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

from fedp.device_runtime.errors import SigningKeyError
from fedp.device_runtime.signing import require_cryptography

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def make_key_pair(out: pathlib.Path) -> pathlib.Path:
    """Writes a new private key to `out`, for its owner alone, and the public one.

    Returns:
        Where the public key is: `out` with .pub after it.

    Raises:
        SigningKeyError: one of the files exists, or cannot be written.
        MissingDependencyError: the package `cryptography` is not installed.
    """
    require_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    if out.is_dir():  # Its name may be empty, as that of "." is.
        raise SigningKeyError(f"{out} is a directory: give an --out that is a file")
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    beside = out.with_name(out.name + ".pub")
    _write_new(beside, public, 0o644)
    try:
        _write_new(out, private, 0o600)
    except SigningKeyError:
        beside.unlink()
        raise
    return beside


def load_private_key(path: pathlib.Path) -> Ed25519PrivateKey:
    """Reads an unencrypted PKCS8 file, as `openssl genpkey -algorithm ed25519` writes.

    Raises:
        SigningKeyError: the file cannot be read, or holds no such key.
        MissingDependencyError: the package `cryptography` is not installed.
    """
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        content = path.read_bytes()
    except OSError as error:
        raise SigningKeyError(
            f"private key {path}: {error.strerror or error}; give the KEY that "
            "`fedp keygen --out KEY` wrote"
        ) from error
    # The library's own messages stay out of ours: nothing of a key is ever shown.
    try:
        key = load_pem_private_key(content, password=None)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key
        found = f"a key of the kind {type(key).__name__.strip('_')}"
    except TypeError:
        found = "an encrypted key"
    except (ValueError, UnsupportedAlgorithm):
        public = b"PUBLIC KEY-----" in content
        found = "a public key" if public else "no PEM private key"
    raise SigningKeyError(
        f"private key {path} holds {found}; an unencrypted Ed25519 key in PEM is "
        "needed: make one with `fedp keygen --out KEY`"
    )


def _write_new(path: pathlib.Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise SigningKeyError(
            f"{path} exists already, and a key is never overwritten: give another --out"
        ) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()
        raise _unwritable(path, error) from error


def _unwritable(path: pathlib.Path, error: OSError) -> SigningKeyError:
    return SigningKeyError(
        f"{path} cannot be written ({error.strerror}): give an --out in a directory "
        "that exists and that you may write to"
    )
