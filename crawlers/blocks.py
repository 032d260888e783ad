"""Markup becomes blocks: the lines of a page in reading order, each with what tells an article from its surroundings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from tingchao.crawlers.part_names import suspicion

DEEPEST = 400
"""Levels of markup kept apart; what lies deeper is read as if it lay at this level (real pages: below 60)."""

MOST_NODES = 400_000
"""Elements read from one page; 50 MB of markup must not hold a crawl for minutes."""

# What never shows text of its own.
_SKIP = frozenset(
    "script style noscript template svg canvas iframe object embed applet select option button input textarea head math "
    "audio video source track map area dialog datalist meter progress".split()
)
_INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark nobr o:p q rb rp rt ruby s samp small "
    "span st1:personname strike strong sub sup time tt u var wbr".split()
)
_CAPTION = frozenset({"figcaption", "caption"})
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}

_OUTSIDE = frozenset({"nav", "footer", "aside", "menu"})
# The page as a whole and its paragraphs carry names for other ends (<body class="comment-open">, <p class="left">).
_NEVER_JUDGED = frozenset({"body", "html", "p", "h1"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_ZERO_WIDTH = re.compile("[\u200b-\u200f\u2028-\u202e\u2060\ufeff\u00ad]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SENTENCE = re.compile(r"[，。！？；…,!?;]|[.:：](?=\s|$|[”\"])")


@dataclass(slots=True)
class Node:
    """A block element (or the page): its place in the tree and what its subtree adds up to."""

    parent: int
    tag: str
    name: str
    suspicion: int
    first: int = 0
    last: int = 0


@dataclass(slots=True)
class Block:
    """One line of the page.

    `size` counts characters without blanks, `linked` those inside links, `stops` the marks that end or part sentences;
    `named` says that an inline element around it has a suspicious name; `bad` is decided later (suspects.py).
    """

    text: str
    node: int
    size: int
    linked: int
    stops: int
    heading: int
    named: bool
    caption: bool
    hidden: bool
    links: int
    bad: bool = False


@dataclass(slots=True)
class Page:
    """The lines of a page and the tree they hang in (`nodes[0]` is the whole page; a child comes after its parent)."""

    root: etree._Element | None
    nodes: list[Node] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


def parse(markup: str) -> etree._Element | None:
    """The tree of a page, or None when there is no markup at all; never raises."""
    # Control characters end libxml2's text nodes early.
    body = _CONTROLS.sub("", markup).encode("utf-8", "replace")
    if not body.strip():
        return None
    # One parser a page: a parser keeps the error log and the dictionary of names of what it has read.
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        return etree.fromstring(body, parser=parser)
    except (etree.LxmlError, ValueError, AssertionError):
        return None


def read_page(root: etree._Element | None) -> Page:
    """Cut a tree into blocks, without recursion, in one pass."""
    page = Page(root)
    page.nodes.append(Node(parent=-1, tag="html", name="", suspicion=0))
    if root is None:
        return page
    body = root.find("body")
    _Reader(page).run(body if body is not None else root)
    for index in range(len(page.nodes) - 1, 0, -1):
        node = page.nodes[index]
        parent = page.nodes[node.parent]
        parent.last = max(parent.last, node.last)
    return page


class _Reader:
    """Walks the elements and writes blocks; keeps the line that is being read."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.parts: list[str] = []
        self.linked = 0
        self.links = 0
        self.known: dict[str, int] = {}

    def run(self, top: etree._Element) -> None:
        """Visit every element once: (element, node, heading, flags) entering, then its tail leaving."""
        stack: list[tuple[etree._Element | None, int, _Context, str | None]] = [(top, 0, _Context(), None)]
        seen = 0
        while stack:
            element, node, context, tail = stack.pop()
            if element is None:
                # Leaving an element: a block ends its line, then its tail belongs to the parent.
                self._leave(node, context, tail)
                continue
            seen += 1
            if seen > MOST_NODES:
                break
            self._enter(element, node, context, stack)
        self._flush(0, _Context())

    def _enter(self, element: etree._Element, node: int, context: _Context, stack: list[tuple[etree._Element | None, int, _Context, str | None]]) -> None:
        tag = element.tag
        tail = element.tail
        if not isinstance(tag, str) or tag in _SKIP:
            if tail:
                self._add(tail, node, context)
            return
        if tag == "br" or tag == "hr":
            self._flush(node, context)
            if tail:
                self._add(tail, node, context)
            return
        inside = self._context(element, tag, context)
        if tag in _INLINE:
            if inside.anchor and not context.anchor:
                self.links += 1
            stack.append((None, node, context, tail))
            child_node = node
        else:
            self._flush(node, context)
            child_node = self._node(element, tag, node)
            stack.append((None, child_node, context.ending(inside), tail))
        if element.text:
            self._add(element.text, child_node, inside)
        if len(element):
            stack.extend((child, child_node, inside, None) for child in element.iterchildren(reversed=True))

    def _leave(self, node: int, context: _Context, tail: str | None) -> None:
        if context.inside is not None:
            self._flush(node, context.inside)
            node = self.page.nodes[node].parent
        if tail:
            self._add(tail, node, context)

    def _context(self, element: etree._Element, tag: str, context: _Context) -> _Context:
        attributes = element.attrib
        named, hidden, anchor = context.named, context.hidden, context.anchor
        if attributes:
            if not named and tag in _INLINE and tag != "a":
                named = self._suspicion(element) == 2
            if not hidden and ("hidden" in attributes or _HIDDEN.search(attributes.get("style", ""))):
                hidden = True
            anchor = anchor or (tag == "a" and "href" in attributes)
        heading = _HEADINGS.get(tag, context.heading)
        caption = context.caption or tag in _CAPTION
        pre = context.pre or tag == "pre"
        if (named, hidden, anchor, heading, caption, pre) == context.key():
            return context
        return _Context(named=named, hidden=hidden, anchor=anchor, heading=heading, caption=caption, pre=pre)

    def _suspicion(self, element: etree._Element) -> int:
        names = f"{element.get('class', '')} {element.get('id', '')}"
        known = self.known.get(names)
        if known is None:
            known = self.known[names] = suspicion(names)
        return known

    def _node(self, element: etree._Element, tag: str, parent: int) -> int:
        nodes, here = self.page.nodes, len(self.page.blocks)
        level = 2 if tag in _OUTSIDE else 0 if tag in _NEVER_JUDGED else self._suspicion(element)
        nodes.append(Node(parent=parent, tag=tag, name=f"{tag}.{element.get('class', '')}", suspicion=level, first=here, last=here))
        return len(nodes) - 1

    def _add(self, text: str, node: int, context: _Context) -> None:
        if context.pre and "\n" in text:
            for line in text.split("\n"):
                self._add(line, node, _Context(**{**context.fields(), "pre": False}))
                self._flush(node, context)
            return
        self.parts.append(text)
        if context.anchor:
            self.linked += len("".join(text.split()))

    def _flush(self, node: int, context: _Context) -> None:
        if not self.parts:
            return
        text = " ".join(_ZERO_WIDTH.sub("", "".join(self.parts)).split())
        linked, links = self.linked, self.links
        self.parts.clear()
        self.linked = self.links = 0
        if not text:
            return
        size = len(text) - text.count(" ")
        blocks = self.page.blocks
        blocks.append(
            Block(
                text=text, node=node, size=size, linked=min(linked, size), stops=len(_SENTENCE.findall(text)), heading=context.heading,
                named=context.named, caption=context.caption, hidden=context.hidden, links=links,
            )
        )  # fmt: skip
        self.page.nodes[node].last = len(blocks)


@dataclass(slots=True)
class _Context:
    """What holds for everything inside an element."""

    named: bool = False
    hidden: bool = False
    anchor: bool = False
    heading: int = 0
    caption: bool = False
    pre: bool = False
    inside: _Context | None = None

    def key(self) -> tuple[bool, bool, bool, int, bool, bool]:
        return self.named, self.hidden, self.anchor, self.heading, self.caption, self.pre

    def fields(self) -> dict[str, bool | int]:
        return {"named": self.named, "hidden": self.hidden, "anchor": self.anchor, "heading": self.heading, "caption": self.caption}

    def ending(self, inside: _Context) -> _Context:
        """This context again, remembering the one of the block that ends here."""
        return _Context(self.named, self.hidden, self.anchor, self.heading, self.caption, self.pre, inside)


def ancestors(page: Page, node: int) -> Iterator[int]:
    """The node and everything it lies in, inside first."""
    while node >= 0:
        yield node
        node = page.nodes[node].parent
