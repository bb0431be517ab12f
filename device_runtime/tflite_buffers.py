"""Where a TFLite file's buffers and metadata lie, read without flatbuffers.

Every offset is checked, so that a damaged file is an error and never a crash.
"""

from __future__ import annotations

import struct

from fedp.device_runtime import offsets
from fedp.device_runtime.errors import ArtifactError

# Fields of the schema's tables Model, Buffer and Metadata.
_BUFFERS, _METADATA = 4, 6
_DATA = 0
_NAME, _BUFFER = 0, 1


class BufferReader:
    """The buffers of one file.

    Args:
        content: the whole TFLite file.

    Raises:
        ArtifactError: it is none.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        try:
            self._model = offsets.u32(content, 0)
            self._buffers = offsets.vector(content, self._model, _BUFFERS)
        except (struct.error, LookupError) as error:
            raise ArtifactError(
                "the artifact is no TFLite file: copy it again"
            ) from error

    def __len__(self) -> int:
        """How many buffers there are."""
        return len(self._buffers)

    def range(self, number: int) -> tuple[int, int]:
        """Begin and end offset of a buffer's bytes; both 0 where it has none.

        Raises:
            ArtifactError: the file has no such buffer, or is damaged.
        """
        content = self._content
        try:
            if number < 0:
                raise IndexError(number)
            field = offsets.field(content, self._buffers[number], _DATA)
            begin = field + offsets.u32(content, field) + 4
            end = begin + offsets.u32(content, begin - 4)
        except KeyError:
            return 0, 0
        except (struct.error, IndexError) as error:
            raise _damaged(number) from error
        if end > len(content):
            raise _damaged(number)
        return begin, end

    def metadata(self, name: str) -> tuple[int, int] | None:
        """Begin and end offset of a metadata entry's bytes; None without the entry.

        Raises:
            ArtifactError: the file is damaged.
        """
        content = self._content
        try:
            for entry in offsets.vector(content, self._model, _METADATA):
                if offsets.string(content, entry, _NAME) == name.encode():
                    field = offsets.field(content, entry, _BUFFER)
                    return self.range(offsets.u32(content, field))
        except KeyError:  # No metadata at all.
            pass
        except (struct.error, IndexError) as error:
            raise ArtifactError(
                "the artifact's metadata is damaged: copy it again"
            ) from error
        return None


def _damaged(number: int) -> ArtifactError:
    return ArtifactError(f"the artifact's buffer {number} is damaged: copy it again")
