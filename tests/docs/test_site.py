"""The check of a built site finds what it is for; README.md links to what is there."""

import pathlib
import re

from .blocks import ROOT
from .site import problems


def test_finds_dead_links_and_addresses_of_other_hosts(tmp_path: pathlib.Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="other.html#there">fine</a> <a href="https://example.org">told</a>'
        '<a href="other.html#gone">no anchor</a> <a href="none.html">no page</a>'
        '<script src="https://example.org/a.js"></script>'
        '<link rel="canonical" href="https://example.org/">'
        "<style>@import 'https://example.org/b.css'</style>"
    )
    (tmp_path / "other.html").write_text('<h2 id="there">There</h2>')
    (tmp_path / "c.css").write_text("body { src: url(//example.org/font) }")
    assert problems(tmp_path) == [
        "index.html loads https://example.org/a.js: keep it in the site",
        "index.html loads https://example.org/b.css: keep it in the site",
        "index.html links to none.html, which is not there",
        "index.html links to other.html#gone: no such anchor",
        "c.css loads //example.org/font",
    ]


def test_readme_links_to_files() -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text())
    here = [link for link in links if "://" not in link]
    assert here and [link for link in here if not (ROOT / link).exists()] == []
