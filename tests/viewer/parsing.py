"""A page as a strict reader sees it: each element with its attributes, and the text of script and style."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

FRAME = {"html": {"lang"}, "head": set(), "body": set(), "meta": {"charset", "http-equiv", "name", "content"}}
FRAME |= {"title": set(), "style": set(), "script": set()}
"""The elements of the page's frame, with their attributes."""


@dataclass
class Element:
    name: str
    attributes: dict


@dataclass
class Page(HTMLParser):
    """The elements of a page, in order."""

    elements: list = field(default_factory=list)
    raw: dict = field(default_factory=dict)
    texts: list = field(default_factory=list)
    comments: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__(convert_charrefs=True)
        self._inside = None

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice: {names}"
        self.elements.append(Element(tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style", "title") else None

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside:
            self.raw[self._inside] = self.raw.get(self._inside, "") + data
        else:
            self.texts.append(data)

    def handle_comment(self, data):
        self.comments.append(data)

    def all(self, name, /, **attributes):
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return [e for e in self.elements if e.name == name and wanted.items() <= e.attributes.items()]


def parsed(html):
    page = Page()
    page.feed(html)
    page.close()
    return page
