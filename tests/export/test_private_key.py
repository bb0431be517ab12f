"""Key files: made once, for their owner alone, and never shown."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from fedp.device_runtime.errors import SigningKeyError
from fedp.device_runtime.signing import raw_public_key

pytest.importorskip("cryptography")

from fedp.export.private_key import load_private_key, make_key_pair  # noqa: E402


def test_pair_fits_and_is_private(tmp_path):
    mask = os.umask(0)
    try:
        public = make_key_pair(tmp_path / "KEY")
    finally:
        os.umask(mask)
    assert public == tmp_path / "KEY.pub"
    assert stat.S_IMODE((tmp_path / "KEY").stat().st_mode) == 0o600
    key = load_private_key(tmp_path / "KEY")
    assert key.public_key().public_bytes_raw() == raw_public_key(public)


@pytest.mark.parametrize("there", ["KEY", "KEY.pub"])
def test_never_overwritten(there, tmp_path):
    (tmp_path / there).write_text("precious")
    with pytest.raises(SigningKeyError, match=f"{there} exists already"):
        make_key_pair(tmp_path / "KEY")
    assert [p.name for p in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_place_that_is_none(tmp_path):
    with pytest.raises(SigningKeyError, match="cannot be written"):
        make_key_pair(tmp_path / "none" / "KEY")


def openssl(*arguments: object) -> None:
    try:
        command = ["openssl", *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")


def test_keys_that_openssl_made(tmp_path):
    key, public = tmp_path / "key", tmp_path / "key.pub"
    openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    openssl("pkey", "-in", key, "-pubout", "-out", public)
    found = load_private_key(key).public_key().public_bytes_raw()
    assert found == raw_public_key(public)


def test_openssl_reads_ours(tmp_path):
    public = make_key_pair(tmp_path / "key")
    openssl("pkey", "-in", tmp_path / "key", "-pubout", "-out", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == public.read_bytes()


def test_not_a_private_key(tmp_path):
    key = tmp_path / "key"
    public = make_key_pair(key)
    secret = key.read_bytes().splitlines()[1].decode()
    encrypted, other, cut = (tmp_path / name for name in ("encrypted", "other", "cut"))
    asked = ("-aes256", "-passout", "pass:x", "-out", encrypted)
    openssl("pkey", "-in", key, *asked)
    openssl("genpkey", "-algorithm", "x25519", "-out", other)
    cut.write_bytes(key.read_bytes()[:90])
    for path, found in (
        (encrypted, "an encrypted key"),
        (other, "kind X25519PrivateKey"),
        (cut, "no PEM private key"),
        (public, "a public key"),
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(SigningKeyError, match=found) as caught:
            load_private_key(path)
        assert "fedp keygen" in str(caught.value) and "\n" not in str(caught.value)
        assert secret[:12] not in str(caught.value)
