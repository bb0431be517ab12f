"""What MkDocs needs to know of this repository; not a page."""

import logging
import pathlib
import re
import shutil
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
# Where mkdocstrings looks for `fedp`; the root holds environments as well.
SOURCE = ROOT / "build" / "docs_source" / "fedp"
PARTS = ("__init__.py", "cli", "device_runtime", "export", "training")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)]*)?\)")
# A warning of MkDocs' own logger fails a strict build.
log = logging.getLogger("mkdocs.hooks.fedp")


def on_startup(**_: Any) -> None:
    """Lays links to the packages into a folder that has their name."""
    SOURCE.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        link = SOURCE / part
        if not link.is_symlink():
            link.symlink_to(ROOT / part)


def on_shutdown(**_: Any) -> None:
    """Takes the links away, which other tools would follow."""
    shutil.rmtree(SOURCE.parent, ignore_errors=True)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Names what is linked in the repository but is no page: folders, other files."""
    folder = pathlib.Path(page.file.abs_src_path).parent

    def named(match: re.Match[str]) -> str:
        text, address, _ = match.groups()
        target = (folder / address).resolve()
        outside = not target.is_relative_to(ROOT / "docs")
        if "://" in address or not (outside or target.is_dir()):
            return match[0]
        if not target.exists():
            log.warning(
                "%s links to %s, which is not there", page.file.src_uri, address
            )
        path = str(target.relative_to(ROOT))
        return f"`{path}`" if text.strip("`/") in path else f"{text} (`{path}`)"

    return LINK.sub(named, markdown)
