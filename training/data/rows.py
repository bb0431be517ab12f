"""Rows of an array inside an .npz, read by number and never held as a whole."""

from __future__ import annotations

import errno
import math
import os
import shutil
import struct
import tempfile
import weakref
import zipfile
from typing import IO, Any, NamedTuple

import numpy as np

from fedp.device_runtime.errors import DataError

_CHUNK = 1 << 20  # bytes unpacked at a time

numpy_format: Any = np.lib.format  # NumPy's own, but without type hints


class ArrayHeader(NamedTuple):
    """What an .npy file says about its array.

    Attributes:
        shape: of the whole array.
        dtype: of its numbers, in the file's byte order.
        size: bytes of the header; the numbers follow.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    size: int


def read_header(stream: IO[bytes]) -> ArrayHeader:
    """Reads the head of an .npy file, and nothing of its numbers.

    Raises:
        ValueError: not an .npy file, or columns stored before rows.
    """
    version = numpy_format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = numpy_format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = numpy_format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"array of .npy version {version}")
    if fortran:
        raise ValueError("x is in Fortran order; pass it through ascontiguousarray")
    return ArrayHeader(shape, dtype, stream.tell())


class RowFile:
    """Random access to the rows of one array of an .npz.

    A compressed array is unpacked once into an anonymous temporary file, of which
    nothing is left however the process ends; one that is merely stored is read in
    place. Reading moves no file position, so threads and forks can share it.
    """

    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, member: str) -> None:
        """Opens the array `member` of the zip `archive`, which `file` holds.

        Raises:
            DataError: no room to unpack it, or fewer numbers than its header says.
            OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error: damage.
        """
        info = archive.getinfo(member)
        with archive.open(info) as stream:
            self.shape, self.dtype, skip = read_header(stream)
            if info.compress_type == zipfile.ZIP_STORED:
                self._start = _content_offset(file, info) + skip
                self._fd = os.dup(file.fileno())
                size = info.file_size - skip
            else:
                self._fd, size = _unpack(stream)
                self._start = 0
        self._close = weakref.finalize(self, os.close, self._fd)
        self._row_size = self.dtype.itemsize * math.prod(self.shape[1:])
        if size < self._row_size * self.shape[0]:
            self.close()
            raise EOFError(f"{member} is cut short")

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Reads rows by their ascending numbers; neighbours in one go.

        Args:
            rows: int64 [n].

        Returns:
            An array [n, *shape[1:]] of the file's dtype, native byte order.

        Raises:
            ValueError: after `close`.
            EOFError: the file was cut short since it was opened.
        """
        if not self._close.alive:
            raise ValueError("read from a data set that was closed")
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        content = out.reshape(-1).view(np.uint8)
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        for begin, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            run = content[begin * self._row_size : end * self._row_size]
            self._fill(run, self._start + int(rows[begin]) * self._row_size)
        return out.astype(self.dtype.newbyteorder("="), copy=False)

    def _fill(self, target: np.ndarray, offset: int) -> None:
        done = 0
        while done < len(target):
            count = os.preadv(self._fd, [target[done:].data], offset + done)
            if count == 0:
                raise EOFError("the file was cut short while it was in use")
            done += count

    def close(self) -> None:
        """Gives the file back; harmless when repeated."""
        self._close()


def _content_offset(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where a zip member's bytes begin: behind its local header (APPNOTE 4.3.7)."""
    header = os.pread(file.fileno(), 30, info.header_offset)
    name_size, extra_size = struct.unpack_from("<HH", header, 26)
    return int(info.header_offset + 30 + name_size + extra_size)


def _unpack(stream: IO[bytes]) -> tuple[int, int]:
    """Copies the rest of a stream to an anonymous file: its descriptor and size."""
    with tempfile.TemporaryFile() as file:
        try:
            shutil.copyfileobj(stream, file, _CHUNK)
            file.flush()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise DataError(
                f"no room to unpack x in {tempfile.gettempdir()}: free some, or set "
                "TMPDIR to a directory with more"
            ) from error
        return os.dup(file.fileno()), file.tell()
