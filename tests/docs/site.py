"""Checks a built site: each link and anchor is there, and no page loads from elsewhere.

`python tests/docs/site.py build/site`, with the standard library alone.
"""

import html.parser
import pathlib
import re
import sys
import urllib.parse

# What a browser fetches without being asked.
LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
}
NOT_FETCHED = {"canonical", "prev", "next", "alternate", "edit"}
IN_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^)\"']+)")


class Page(html.parser.HTMLParser):
    """Links, anchors and loaded addresses of one page."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.loaded: set[str] = set()
        text = path.read_text()
        self.loaded.update(IN_STYLE.findall(text))
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors.update({found.get("id", ""), found.get("name", "")})
        if tag == "a":
            self.links.add(found.get("href", ""))
        address = found.get(LOADED.get(tag, ""), "")
        relations = set(found.get("rel", "").split())
        if address and not (tag == "link" and relations & NOT_FETCHED):
            self.loaded.add(address)


def problems(site: pathlib.Path) -> list[str]:
    """One line for each link that leads nowhere and each address of another host."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        if path.name == "404.html":  # Its links are those of the server's root.
            continue
        name = path.relative_to(site.resolve())
        for address in sorted(page.links | page.loaded):
            parts = urllib.parse.urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                if address in page.loaded:
                    found.append(f"{name} loads {address}: keep it in the site")
                continue
            file = urllib.parse.unquote(parts.path)
            target = (path.parent / file).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            anchor = urllib.parse.unquote(parts.fragment)
            if not target.exists():
                found.append(f"{name} links to {address}, which is not there")
            elif target in pages and anchor and anchor not in pages[target].anchors:
                found.append(f"{name} links to {address}: no such anchor")
    for style in sorted(site.rglob("*.css")):
        for address in IN_STYLE.findall(style.read_text()):
            found.append(f"{style.relative_to(site)} loads {address}")
    return found


def main() -> int:
    site = pathlib.Path(sys.argv[1])
    found = problems(site)
    pages = len(list(site.rglob("*.html")))
    print("\n".join(found) or f"{site}: {pages} pages; every link leads somewhere")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
