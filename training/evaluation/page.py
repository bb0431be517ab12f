"""HTML of the report: one page, no link to anything outside of it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

# Plotly knows no colour scheme, so the page's style sheet colours its axes and texts.
STYLE = """
:root { color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --ink: #1c2127; --soft: #57606a;
  --line: #d9dee4; --before: #9a6200; --after: #1f66b5; --hurt: #b3245a; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #14171b; --card: #1d2126; --ink: #e8eaed; --soft: #a3abb5;
  --line: #363c44; --before: #eaa634; --after: #6fb0f5; --hurt: #f2789f; } }
* { box-sizing: border-box; }
html { overflow-y: scroll; }  /* plots measure their width before the page is long */
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 0 0 .25rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .3rem 0 .8rem; max-width: 75ch; } .soft, figcaption { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; padding: 1.25rem; margin-top: 1.25rem; }
.cards { display: grid; gap: 1rem; margin-top: 1.25rem;
  grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); }
.cards section { margin: 0; padding: 1rem 1.25rem; }
.card-name { color: var(--soft); font-size: .95rem; font-weight: 400; }
.card-value { font-size: 2.1rem; font-weight: 650; line-height: 1.25; margin: 0;
  font-variant-numeric: tabular-nums; }
.card-note { color: var(--soft); font-size: .88rem; margin: 0; }
.before { color: var(--before); } .after { color: var(--after); }
.hurt { color: var(--hurt); }
.pair { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9rem; max-width: 75ch; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { text-align: left; padding: .42rem .8rem .42rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; max-width: 32ch; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; } tbody tr:last-child > * { border-bottom: 0; }
.scroll + .scroll { margin-top: 1.5rem; } .pair + .scroll { margin-top: 1rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.number + td:not(.number), th.number + th:not(.number) { padding-left: .6rem; }
summary { cursor: pointer; font-weight: 600; }
details[open] summary { margin-bottom: .8rem; }
.js-plotly-plot .xtick text, .js-plotly-plot .ytick text, .js-plotly-plot .xtitle,
.js-plotly-plot .ytitle, .js-plotly-plot .legendtext { fill: var(--ink) !important; }
.js-plotly-plot .gridlayer path, .js-plotly-plot .zerolinelayer path {
  stroke: var(--line) !important; }
@media (max-width: 600px) { main { padding: 1.25rem .75rem 3rem; }
  section { padding: 1rem .8rem; } h1 { font-size: 1.5rem; } }
"""


def document(title: str, script: str, body: Iterable[str]) -> str:
    """Puts a page together; `script` runs first and must not hold "</script"."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n"
        # Without an icon of its own a browser asks the server for one.
        '<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n<script>{script}</script>\n</head>\n"
        "<body>\n<main>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def card(name: str, value: str, note: str, tone: str = "") -> str:
    """One headline number."""
    return (
        f'<section><h2 class="card-name">{html.escape(name)}</h2>'
        f'<p class="card-value {tone}">{html.escape(value)}</p>'
        f'<p class="card-note">{html.escape(note)}</p></section>'
    )


def section(heading: str, lead: str, *parts: str) -> str:
    """A headed part of the page; `parts` are HTML already."""
    return (
        f"<section><h2>{html.escape(heading)}</h2>"
        f'<p class="soft">{html.escape(lead)}</p>' + "".join(parts) + "</section>"
    )


def figure(plot: str, heading: str, caption: str) -> str:
    """A plot (HTML already) with its heading and caption."""
    return (
        f"<figure><h3>{html.escape(heading)}</h3>{plot}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
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
    """A part that opens on a click; `parts` are HTML already."""
    return (
        f"<section><details><summary>{html.escape(summary)}</summary>"
        + "".join(parts)
        + "</details></section>"
    )
