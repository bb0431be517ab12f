"""The code blocks of a page, and the reasons why some are not run."""

import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
_SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = ("README.md", *(str(path.relative_to(ROOT)) for path in _SITE))
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>.+?) -->\n)?"
    r"^(?P<fence>```+) *(?P<language>\S*)\n(?P<code>.*?)^(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """One fenced block.

    Attributes:
        page: its path in the repository.
        line: of its first line of code, from 1.
        language: "python", "sh", ..., or "" for what a command prints.
        code: what is in it.
        why_not: why it is not run; None where it is.
    """

    page: str
    line: int
    language: str
    code: str
    why_not: str | None

    @property
    def runs(self) -> bool:
        return self.language in ("python", "sh") and self.why_not is None


def blocks_of(page: str) -> list[Block]:
    text = (ROOT / page).read_text()
    return [
        Block(
            page,
            text.count("\n", 0, found.start("code")) + 1,
            found["language"],
            found["code"],
            found["why"],
        )
        for found in _BLOCK.finditer(text)
    ]
