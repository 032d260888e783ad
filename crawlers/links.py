"""A list page becomes the links to its articles, in their order; menus, tags and side columns are left out."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit

from lxml import etree

from tingchao.crawlers.blocks import parse
from tingchao.crawlers.charset import decode
from tingchao.crawlers.metadata import clean
from tingchao.crawlers.part_names import suspicion

MOST_LINKS = 2000
"""Links returned from one page; the longest list at hand has 54."""

_DIGITS = re.compile(r"\d+")
_STATE = re.compile(
    r"^(?:first|last|odd|even|cur|current|on|active|hover|selected|new|hot|lock|common|top|recommend|digest|visited)$",
    re.IGNORECASE,
)
_PAGE_NUMBER = re.compile(
    r"^[\W\d]*$|^(?:上|下|首|尾|末|前|后)(?:一)?页\W*$|^(?:更多|查看更多|详细|详情|阅读全文|more|next|prev\w*)\W*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of a list: the text of its link and the absolute address without fragment."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class _Anchor:
    element: etree._Element
    title: str
    url: str
    shape: tuple[str, ...]
    tags: tuple[str, ...]
    menu: bool


def list_links(body: bytes, url: str, content_type: str = "") -> list[Link]:
    """The links to articles on a list page; [] when it has no list. Never raises.

    The entries of a list are marked up alike, so links are grouped by the elements around them; the group with most
    text in its links is the list (an entry of a menu has two to six characters, a title fifteen to thirty), together
    with links in the same part of the page under the same tags (entries of another class: photo series, pinned
    threads).
    """
    root = parse(decode(body, content_type)[0])
    if root is None:
        return []
    anchors = _anchors(root, _base(root, url))
    groups: dict[tuple[str, ...], list[_Anchor]] = defaultdict(list)
    for anchor in anchors:
        groups[anchor.shape].append(anchor)
    if not groups:
        return []
    best = max(groups.values(), key=_weight)
    if _weight(best) <= 0:
        return []
    chosen = {id(anchor) for anchor in best}
    part = _common(best)
    for group in groups.values():
        if group is not best and group[0].tags == best[0].tags and _weight(group) > 0:
            chosen.update(id(anchor) for anchor in group if part is not None and _inside(anchor.element, part))
    return _unique([anchor for anchor in anchors if id(anchor) in chosen])


def all_links(body: bytes, url: str, content_type: str = "") -> list[Link]:
    """Every link of a page once, in order, with the longest text that it stands under. Never raises."""
    root = parse(decode(body, content_type)[0])
    if root is None:
        return []
    base, found = _base(root, url), dict[str, str]()
    for element in root.iter("a"):
        address = _address(base, element.get("href") or "")
        text = " ".join("".join(str(piece) for piece in element.itertext()).split())
        title = max(text, (element.get("title") or "").strip(), key=len)
        if address and len(title) >= len(found.get(address, "")):
            found[address] = title
    return [Link(title, address) for address, title in found.items()]


def _base(root: etree._Element, url: str) -> str:
    base = root.find(".//base[@href]")
    try:
        return urljoin(url, base.get("href") or "") if base is not None else url
    except ValueError:
        return url


def _anchors(root: etree._Element, base: str) -> list[_Anchor]:
    """All links with a text that may be a title."""
    found = []
    for element in root.iter("a"):
        title = clean("".join(str(part) for part in element.itertext()))
        whole = clean(element.get("title") or "")
        # Lists show long titles cut; the attribute then has the whole one.
        if whole and (not title or (title.rstrip(".… ") != title and whole.startswith(title.rstrip(".… ")))):
            title = whole
        if len(title) < 2 or len(title) > 200 or _PAGE_NUMBER.match(title):
            continue
        address = _address(base, element.get("href") or "")
        if not address or _is_front(address):
            continue
        shape, tags, menu = _surroundings(element)
        found.append(_Anchor(element, title, address, shape, tags, menu))
    return found


def _address(base: str, href: str) -> str:
    """The absolute address without fragment; "" of what leads to no other page."""
    href = href.strip()
    if not href or href.startswith("#"):
        return ""
    try:
        address = urldefrag(urljoin(base, href)).url
    except ValueError:
        return ""
    return address if address.startswith(("http://", "https://")) else ""


def _is_front(address: str) -> bool:
    """Whether an address is the front page of a site, which is no article."""
    parts = urlsplit(address)
    return parts.path in {"", "/"} and not parts.query


def _surroundings(element: etree._Element) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """The elements around a link as (tags with names), (tags), and whether a name tells of a menu."""
    shape, tags = [_name(element)], ["a"]
    menu = False
    parent = element.getparent()
    for level in range(12):
        if parent is None or not isinstance(parent.tag, str):
            break
        if level < 4:
            shape.append(_name(parent))
        if level < 3:
            tags.append(parent.tag)
        menu = (
            menu
            or parent.tag in {"nav", "footer"}
            or suspicion(f"{parent.get('class', '')} {parent.get('id', '')}") == 2
        )
        parent = parent.getparent()
    return tuple(shape), tuple(tags), menu


def _name(element: etree._Element) -> str:
    """The tag and what its classes say about its kind, without numbers and states (first, odd, new)."""
    kinds = [_DIGITS.sub("", name) for name in (element.get("class") or "").split() if not _STATE.match(name)]
    return ".".join([str(element.tag), *sorted(kinds)[:3]])


def _weight(group: list[_Anchor]) -> float:
    """How much a group of links looks like the list: the length of its titles beyond that of a menu entry."""
    titles = {anchor.url: len(anchor.title) for anchor in group}
    weight = float(sum(min(length, 40) - 6 for length in titles.values()))
    if len(titles) < 3:
        weight *= 0.3
    return weight * (0.3 if group[0].menu else 1.0)


def _common(group: list[_Anchor]) -> etree._Element | None:
    """The innermost element that holds all links of a group."""
    common: list[etree._Element] | None = None
    for anchor in group:
        line = [*anchor.element.iterancestors()][::-1]
        if common is None:
            common = line
            continue
        length = 0
        for ours, theirs in zip(common, line, strict=False):
            if ours is not theirs:
                break
            length += 1
        common = common[:length]
    return common[-1] if common else None


def _inside(element: etree._Element, part: etree._Element) -> bool:
    return any(ancestor is part for ancestor in element.iterancestors())


def _unique(anchors: list[_Anchor]) -> list[Link]:
    """One link an address, in order; of several texts the first."""
    links: dict[str, Link] = {}
    for anchor in anchors:
        links.setdefault(anchor.url, Link(anchor.title, anchor.url))
        if len(links) >= MOST_LINKS:
            break
    return list(links.values())
