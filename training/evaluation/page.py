"""HTML of the report: one page, no link to anything outside of it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from fedp.training.evaluation.style import STYLE

_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>')
_FEW_SECTIONS = 3


def document(title: str, script: str, body: Iterable[str]) -> str:
    """Puts a page together.

    Args:
        title: of the window.
        script: runs first; must not hold "</script".
        body: what the page shows, HTML already; the first part is its header.
    """
    first, *parts = body
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n"
        # Without an icon of its own a browser asks the server for one.
        '<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n<script>{script}</script>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the results</a>\n'
        f'{first}\n{_contents(parts)}<main id="main" tabindex="-1">\n'
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _contents(parts: Iterable[str]) -> str:
    """Links to the sections, where there are more than a few."""
    found = [match for part in parts for match in _HEADING.findall(part)]
    if len(found) <= _FEW_SECTIONS:
        return ""
    links = "".join(f'<li><a href="#{id}">{text}</a></li>' for id, text in found)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n'


def header(title: str, *paragraphs: str) -> str:
    """The page's heading and what it says in a few sentences."""
    texts = "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
    return f"<header><h1>{html.escape(title)}</h1>{texts}</header>"


def card(name: str, value: str, note: str, tone: str = "") -> str:
    """One headline number."""
    return (
        f'<section><h2 class="card-name">{html.escape(name)}</h2>'
        f'<p class="card-value {tone}">{html.escape(value)}</p>'
        f'<p class="card-note">{html.escape(note)}</p></section>'
    )


def paragraph(text: str) -> str:
    """A remark."""
    return f"<p>{html.escape(text)}</p>"


def section(heading: str, lead: str, *parts: str) -> str:
    """A headed part of the page; `parts` are HTML already."""
    name = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
    return (
        f'<section aria-labelledby="{name}"><h2 id="{name}">{html.escape(heading)}</h2>'
        f'<p class="soft">{html.escape(lead)}</p>' + "".join(parts) + "</section>"
    )


def figure(plot: str, heading: str, caption: str, data: str = "") -> str:
    """A plot with its heading, its caption and a table of its data; both HTML already.

    To a screen reader the plot is an image: what it shows is said by the table, here
    or beside it.
    """
    label = html.escape(f"Plot: {heading}. {caption} Its numbers are in a table.")
    return (
        f'<figure><h3>{html.escape(heading)}</h3><div role="img" aria-label="{label}">'
        f"{plot}</div><figcaption>{html.escape(caption)}</figcaption>"
        + (data and folded("The numbers", data))
        + "</figure>"
    )


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Iterable[int] = (),
) -> str:
    """A table whose first column heads its rows; columns in `numbers` align right."""
    right = set(numbers)

    def cell(tag: str, column: int, text: str, scope: str = "") -> str:
        kind = ' class="number"' if column in right else ""
        return f"<{tag}{scope}{kind}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", i, t, ' scope="col"') for i, t in enumerate(header))
    body = "".join(
        "<tr>"
        + cell("th", 0, row[0], ' scope="row"')
        + "".join(cell("td", i, t) for i, t in enumerate(row[1:], start=1))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{html.escape(caption)}"><table>'
        f"<caption>{html.escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def details(summary: str, *parts: str) -> str:
    """A section that opens on a click; `parts` are HTML already."""
    return f"<section>{folded(summary, *parts)}</section>"


def folded(summary: str, *parts: str) -> str:
    """What opens on a click; `parts` are HTML already."""
    inner = "".join(parts)
    return f"<details><summary>{html.escape(summary)}</summary>{inner}</details>"


def article(heading: str, text: str, *parts: str) -> str:
    """One thing of several in a section; `parts` are HTML already."""
    return (
        f"<article><h3>{html.escape(heading)}</h3><p>{html.escape(text)}</p>"
        + "".join(parts)
        + "</article>"
    )


def gallery(pictures: Iterable[tuple[str, str, str]]) -> str:
    """A list of small images: each one's address, what it shows, and its caption."""
    items = "".join(
        f'<li><img src="{html.escape(address)}" alt="{html.escape(alt)}" width="72" '
        f'height="72"><span aria-hidden="true">{html.escape(caption)}</span></li>'
        for address, alt, caption in pictures
    )
    return f'<ul class="gallery">{items}</ul>'
