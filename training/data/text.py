"""Next-character prediction on Shakespeare, as TFF's baseline task prepares it.

Vocabulary and windows are those of `tff.simulation.baselines.shakespeare` (TFF 0.87),
after McMahan et al. 2017 (arXiv 1602.05629). Deviations: a label that is only padding
is -1, so that nothing counts it, where TFF's loss counts the first one after the end;
and a window in which every label would be padding is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fedp.training.data.federated import Examples

VOCABULARY = (
    "dhlptx@DHLPTX $(,048cgkoswCGKOSW[_#'/37;?bfjnrvzBFJNRVZ\"&*.26:\naeimquyAEIMQUY]"
    "!%)-159\r"
)
PAD = 0  # the characters are 1..86
OOV = len(VOCABULARY) + 1  # any other byte
BOS = len(VOCABULARY) + 2
EOS = len(VOCABULARY) + 3

TOKEN_NAMES: tuple[str, ...] = (
    "<pad>",
    *(repr(c)[1:-1] if c < " " else c for c in VOCABULARY),
    "<oov>",
    "<bos>",
    "<eos>",
)
WINDOW = 80  # characters

_TOKEN_OF_BYTE = np.full(256, OOV, np.int32)
_TOKEN_OF_BYTE[list(VOCABULARY.encode())] = np.arange(1, OOV)


def tokens(text: bytes | str) -> np.ndarray:
    """Token of each byte, or of each character: int32 [len(text)].

    Example:
        >>> tokens(b"dh~").tolist()
        [1, 2, 87]
    """
    if isinstance(text, bytes):
        return np.asarray(_TOKEN_OF_BYTE[np.frombuffer(text, np.uint8)])
    # No byte above 127 has a token of its own, so all others may share one.
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.asarray(_TOKEN_OF_BYTE[np.minimum(codes, 255)])


def window_count(size: int) -> int:
    """How many windows a text of `size` bytes gives.

    The text, its beginning and its end are size + 2 tokens, cut into runs of 81; a
    last run of one token alone has nothing to predict.
    """
    return -(-(size + 1) // (WINDOW + 1))


def windows(snippets: Iterable[bytes]) -> Examples:
    """Cuts each text into windows and their next characters.

    Args:
        snippets: texts that have nothing to do with each other.

    Returns:
        x int32 [n, 80]; y int32 [n, 80], x moved one to the left, -1 for padding.
    """
    runs = [np.zeros((0, WINDOW + 1), np.int32)]
    for snippet in snippets:
        run = np.full(window_count(len(snippet)) * (WINDOW + 1), PAD, np.int32)
        whole = np.concatenate([[BOS], tokens(snippet), [EOS]])[: len(run)]
        run[: len(whole)] = whole
        runs.append(run.reshape(-1, WINDOW + 1))
    together = np.concatenate(runs)
    x, y = together[:, :-1], together[:, 1:]
    return Examples(np.ascontiguousarray(x), np.where(y == PAD, -1, y).astype(np.int32))
