"""The style sheet of the pages, light and dark."""

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
header, nav, main { max-width: 1100px; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; } main { padding-bottom: 4rem; }
main:focus { outline: none; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 0 0 .25rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .3rem 0 .8rem; max-width: 75ch; } .soft, figcaption { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; padding: 1.25rem; margin-top: 1.25rem; }
.cards { display: grid; gap: 1rem; margin-top: 1.25rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 215px), 1fr)); }
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
.scroll + details { margin-top: 1rem; } figure details { margin-top: .4rem; }
tbody th { min-width: 7.5rem; }
td:last-child:not(.number) { min-width: 13rem; } figure summary { font-weight: 400; }
a { color: var(--after); } nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem;
  list-style: none; margin: .6rem 0 0; padding: 0; font-size: .95rem; }
.skip { position: absolute; left: -99rem; padding: .5rem 1rem;
  background: var(--card); }
.skip:focus { left: .5rem; top: .5rem; z-index: 1; }
:focus-visible { outline: 3px solid var(--after); outline-offset: 2px; }
article { border-top: 1px solid var(--line); padding: .8rem 0 .4rem; }
article p { margin: .1rem 0 .4rem; }
.gallery { display: flex; flex-wrap: wrap; gap: .6rem 1rem; list-style: none;
  margin: 0; padding: 0; font-size: .85rem; color: var(--soft); }
.gallery img { display: block; width: 72px; height: 72px; object-fit: contain;
  image-rendering: pixelated; border: 1px solid var(--line); background: #808080; }
.js-plotly-plot .xtick text, .js-plotly-plot .ytick text, .js-plotly-plot .xtitle,
.js-plotly-plot .ytitle, .js-plotly-plot .legendtext { fill: var(--ink) !important; }
.js-plotly-plot .gridlayer path, .js-plotly-plot .zerolinelayer path {
  stroke: var(--line) !important; }
@media (max-width: 600px) { header, nav, main { padding: 0 .75rem; }
  header { padding-top: 1.25rem; } main { padding-bottom: 3rem; }
  section { padding: 1rem .8rem; } h1 { font-size: 1.5rem; } }
"""
