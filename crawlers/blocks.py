"""Markup becomes blocks: the lines of a page in reading order, each with what tells an article from the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from tingchao.crawlers.part_names import suspicion, words

MOST_NODES = 100_000
"""Elements read from one page, about ten seconds: 50 MB must not hold a crawl for minutes (at hand: 4,000)."""

LONGEST_MARKUP = 10_000_000
"""Characters parsed; the largest page at hand has 770,000."""

# What never shows text of its own.
_SKIP = words(
    "script style noscript template svg canvas iframe object embed applet select option button input textarea head "
    "math "
    "audio video source track map area dialog datalist meter progress"
)
_INLINE = words(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark nobr o:p q rb rp rt ruby s "
    "samp small "
    "span st1:personname strike strong sub sup time tt u var wbr"
)
_CAPTION = frozenset({"figcaption", "caption"})
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}

_OUTSIDE = frozenset({"nav", "footer", "aside", "menu"})
# The page as a whole and its paragraphs carry names for other ends (<body class="comment-open">, <p class="left">).
_NEVER_JUDGED = frozenset({"body", "html", "p", "h1"})
_BREAKS = frozenset({"br", "hr"})
_TELLING = frozenset({*_HEADINGS, *_CAPTION, "pre"})
_NUMBER = re.compile(r"\d+")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_ZERO_WIDTH = re.compile("[\u200b-\u200f\u2028-\u202e\u2060\ufeff\u00ad]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SENTENCE = re.compile(r"[，。！？；…,!?;]|[.:：](?=\s|$|[”\"])")


@dataclass(slots=True)
class Node:
    """A block element (or the page): its place in the tree and what its subtree adds up to; `marks`: class and id."""

    parent: int
    tag: str
    name: str
    suspicion: int
    first: int = 0
    last: int = 0
    marks: str = ""


@dataclass(slots=True)
class Block:
    """One line of the page.

    `size` counts characters without blanks, `linked` those inside links, `stops` the marks that end or part sentences;
    `named` says that an inline element around it has a suspicious name; `bad` and `worth` are decided later
    (suspects.py, lines.py).
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
    worth: float = 0.0


@dataclass(slots=True)
class Page:
    """The lines of a page and the tree they hang in (`nodes[0]` is the whole page; a child comes after its parent)."""

    root: etree._Element | None
    nodes: list[Node] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


def parse(markup: str) -> etree._Element | None:
    """The tree of a page, or None when there is no markup at all; never raises."""
    # Control characters end libxml2's text nodes early.
    body = _CONTROLS.sub("", markup[:LONGEST_MARKUP]).encode("utf-8", "replace")
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
        """Visit every element once: entering it, then leaving it, when its tail follows."""
        stack: list[_Step] = [(top, 0, _Context(), None, None)]
        seen = 0
        while stack:
            element, node, context, inside, tail = stack.pop()
            if element is None:
                if inside is not None:
                    # A block ends its line; what follows belongs to the parent.
                    self._flush(node, inside)
                    node = self.page.nodes[node].parent
                if tail:
                    self._add(tail, node, context)
                continue
            seen += 1
            if seen > MOST_NODES:
                break
            self._enter(element, node, context, stack)
        self._flush(0, _Context())

    def _enter(self, element: etree._Element, node: int, context: _Context, stack: list[_Step]) -> None:
        tag = element.tag
        tail = element.tail
        if not isinstance(tag, str) or tag in _SKIP or tag in _BREAKS:
            if tag in _BREAKS:
                self._flush(node, context)
            if tail:
                self._add(tail, node, context)
            return
        inside = self._context(element, tag, context)
        if tag in _INLINE:
            if tag == "a" and inside.anchor and not context.anchor:
                self.links += 1
            stack.append((None, node, context, None, tail))
        else:
            self._flush(node, context)
            node = self._node(element, tag, node)
            stack.append((None, node, context, inside, tail))
        text = element.text
        if text:
            self._add(text, node, inside)
        for child in reversed(element):
            stack.append((child, node, inside, None, None))  # noqa: PERF401  # extend with a generator takes 1.4 times as long

    def _context(self, element: etree._Element, tag: str, context: _Context) -> _Context:
        named, hidden, anchor = context.named, context.hidden, context.anchor
        if not hidden:
            style = element.get("style")
            hidden = (style is not None and _HIDDEN.search(style) is not None) or element.get("hidden") is not None
        if tag == "a":
            anchor = anchor or element.get("href") is not None
        elif tag in _INLINE:
            named = named or self._suspicion(element) == 2
        elif tag in _TELLING:
            heading, caption, pre = _HEADINGS.get(tag, context.heading), tag in _CAPTION, tag == "pre"
            return _Context(named, hidden, anchor, heading, context.caption or caption, context.pre or pre)
        if named == context.named and hidden == context.hidden and anchor == context.anchor:
            return context
        return _Context(named, hidden, anchor, context.heading, context.caption, context.pre)

    def _suspicion(self, element: etree._Element) -> int:
        kind, own = element.get("class"), element.get("id")
        if kind is None and own is None:
            return 0
        names = f"{kind or ''} {own or ''}"
        known = self.known.get(names)
        if known is None:
            known = self.known[names] = suspicion(names)
        return known

    def _node(self, element: etree._Element, tag: str, parent: int) -> int:
        nodes, here = self.page.nodes, len(self.page.blocks)
        level = 2 if tag in _OUTSIDE else 0 if tag in _NEVER_JUDGED else self._suspicion(element)
        classes, own = element.get("class") or "", element.get("id") or ""
        name = f"{tag}.{classes or _NUMBER.sub('', own)}"
        nodes.append(Node(parent, tag, name, level, first=here, last=here, marks=f"{classes} {own}".strip()))
        return len(nodes) - 1

    def _add(self, text: str, node: int, context: _Context) -> None:
        if context.pre and "\n" in text:
            plain = _Context(context.named, context.hidden, context.anchor, context.heading, context.caption)
            for line in text.split("\n"):
                self._add(line, node, plain)
                self._flush(node, plain)
        elif not text.isspace():
            self.parts.append(text)
            if context.anchor:
                self.linked += len("".join(text.split()))
        elif self.parts:
            self.parts.append(" ")

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
                text=text,
                node=node,
                size=size,
                linked=min(linked, size),
                stops=len(_SENTENCE.findall(text)),
                heading=context.heading,
                named=context.named,
                caption=context.caption,
                hidden=context.hidden,
                links=links,
            )
        )
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


# (element, its parent's node, what holds there, None, None) to enter an element;
# (None, node, what holds after it, what holds in it if it is a block, its tail) to leave one.
_Step = tuple[Any, int, _Context, _Context | None, str | None]
