"""The public nickname under which a page's opening post stands, for counting distinct voices.

It goes into Raw.author and nowhere else: Intake hashes it with the key of the day and drops it. It is no field of
Article, of a record or of a state, and no message, log line or exception here holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from lxml import etree

from tingchao.crawlers.blocks import Page
from tingchao.crawlers.headline import find_title, flat
from tingchao.crawlers.metadata import Metadata, clean, linked_writers, read_metadata
from tingchao.crawlers.opened import open_page
from tingchao.crawlers.opening import MESSAGE
from tingchao.crawlers.part_names import suspicion

LONGEST = 40
"""Characters of a nickname; Weibo allows 30, Discuz 15, and a longer text is a sentence."""

MOST_ELEMENTS = 20_000
"""Elements looked at (a thread page at hand has 4,000)."""

_NEAR = 80
"""Elements around the title in which the writer stands on a page without a post's text of a known name."""

_META = ("article:author", "og:article:author", "author", "dc.creator", "dcterms.creator", "twitter:creator")
# What forums and blogs call the element with the writer's name: Discuz (authi), phpBB, vBulletin (username), others.
_MARKUP = re.compile(
    r"(?:^|[\s_-])(?:authi|author|byline|user[-_]?name|nick[-_]?name|nick|uname|poster|posted[-_]?by|post[-_]?author|"
    r"topic[-_]?author|p_author_name|writer|louzhu|readname)(?:[-_]?(?:name|link))?(?=$|\s)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^\W*(?:作者|楼主|发帖人|发布人|发布者|发表人|网友|文|撰文|(?:posted |written )?by)\s*[:：/／\s]\s*", re.IGNORECASE
)
# Not names: times, counts, buttons, and what forum software says of itself.
_NO_NAME = re.compile(
    r"^[\W\d_]*$|[:：]|@\S*\.|\d{1,2}:\d\d|\d{4}\s*[-/.年]\s*\d|(?:秒|分钟|小时|天|月|年)前|^(?:刚刚|昨天|前天|今天)|^(?:发表|发布|回复)于|"
    r"://|^www\.|^@?(?:作者|楼主|只看该作者|只看楼主|匿名|游客|未知|佚名|本站|原创|网友|管理员|"
    r"登[录陆入]|注册|退出|(?:加|已)?关注|私信|回复|编辑|admin|login|sign ?in|administrator|null|undefined|none|"
    r"unknown)$|"
    r"discuz|comsenz|phpwind|wordpress|[。！？|｜]",
    re.IGNORECASE,
)
_BYLINE = re.compile(r"^(\W{0,3}作者\s*[:：]\s*)[\u4e00-\u9fff·]{2,4}(?=[\s。，,；;|｜/／（(]|$)", re.MULTILINE)
SOMEBODY = "某人"
_LATIN = re.compile(r"[A-Za-z0-9_]")
_TEXT_TAGS = frozenset({"script", "style", "head", "title", "noscript", "template"})


def writer(body: bytes, content_type: str = "") -> str | None:
    """Who wrote the page's article or opening post, as the page shows it to everybody; None if it names nobody.

    Order: JSON-LD, itemprop=author, the names beside the opening post (rel=author, classes of forums), meta elements,
    which many sites fill with their own name. Costs little right after read_article of the same page. Never raises.
    """
    opened = open_page(body, content_type)
    page = opened.page
    if page.root is None:
        return None
    meta = read_metadata(page.root, opened.markup)
    own = {flat(name) for name in meta.sites}
    for name in _names(page, meta):
        found = _nickname(name)
        # The site's own name, stated or at the end of <title>: the source is the voice.
        if found and flat(found) not in own and not flat(meta.page_title).endswith(flat(found)):
            return found
    return None


def without_name(text: str, name: str | None) -> str:
    """The text with the writer's name, and the one of a byline at the beginning of a line, replaced by 某人.

    A name of one character stays: it is a word of any text. One of Latin letters is only replaced as a whole word.
    """
    text = _BYLINE.sub(rf"\1{SOMEBODY}", text)
    if not name or len(name) < 2 or name not in text:
        return text
    before = r"(?<![A-Za-z0-9_])" if _LATIN.match(name[0]) else ""
    after = r"(?![A-Za-z0-9_])" if _LATIN.match(name[-1]) else ""
    return re.sub(before + re.escape(name) + after, SOMEBODY, text)


def _names(page: Page, meta: Metadata) -> Iterator[str]:
    """What may be the name, the surest first."""
    root = page.root
    assert root is not None
    yield from linked_writers(root)
    elements = list(islice(root.iter(etree.Element), MOST_ELEMENTS))
    near = _near_post(page, meta, elements)
    yield from (_item_name(element) for element in near if _has_word(element, "itemprop", "author"))
    yield from (_shown(element) for element in near if _has_word(element, "rel", "author"))
    for element in near:
        if element.get("data-author"):
            yield element.get("data-author") or ""
        if _MARKUP.search(_marks(element)):
            yield _shown(element)
    yield from _meta_names(root)


def _meta_names(root: etree._Element) -> Iterator[str]:
    stated: dict[str, str] = {}
    for element in root.iter("meta"):
        name = (element.get("name") or element.get("property") or element.get("itemprop") or "").strip().lower()
        stated.setdefault(name, element.get("content") or "")
    yield from (stated[name] for name in _META if stated.get(name))


def _near_post(page: Page, meta: Metadata, elements: list[etree._Element]) -> list[etree._Element]:
    """The elements where the writer of the opening post stands: between the title and the first post's text.

    Without a text of a known name: some elements around the title. Menus, comments and what is related are left out,
    and all after the post's text: there the writer of the first reply may stand.
    """
    title, _ = find_title(page, meta)
    place = _title_place(elements, flat(title))
    text = next((i for i, element in enumerate(elements) if i > place and MESSAGE.search(_marks(element))), -1)
    if text >= 0:
        near = elements[place if place >= 0 else max(0, text - _NEAR) : text]
    elif place >= 0:
        near = elements[max(0, place - _NEAR // 8) : place + _NEAR]
    else:
        near = []
    return [element for element in near if element.tag not in _TEXT_TAGS and not _elsewhere(element)]


def _title_place(elements: list[etree._Element], title: str) -> int:
    """The index of the h1 with the title, else of what shows it, else of the first h1; -1 without any."""
    shown = alone = -1
    for index, element in enumerate(elements):
        if element.tag == "h1":
            if title and title in flat("".join(str(part) for part in element.itertext())):
                return index
            alone = index if alone < 0 else alone
        elif shown < 0 and title and element.text and element.tag not in {"a", *_TEXT_TAGS}:
            shown = index if flat(element.text) == title else shown
    return shown if shown >= 0 else alone


def _marks(element: etree._Element) -> str:
    return f"{element.get('class') or ''} {element.get('id') or ''}".strip()


def _elsewhere(element: etree._Element) -> bool:
    """Whether an element lies in a menu, a comment, a footer or the like."""
    for around in islice(element.iterancestors(), 40):
        if around.tag in {"body", "html"}:
            return False
        if around.tag in {"nav", "footer", "aside"} or suspicion(_marks(around)) == 2:
            return True
    return False


def _has_word(element: etree._Element, attribute: str, word: str) -> bool:
    return word in (element.get(attribute) or "").lower().split()


def _item_name(element: etree._Element) -> str:
    """The name of an item (itemprop=name inside it), or what the element shows."""
    for inner in element.iter(etree.Element):
        if inner is not element and _has_word(inner, "itemprop", "name"):
            return inner.get("content") or _shown(inner)
    return element.get("content") or _shown(element)


def _shown(element: etree._Element) -> str:
    """The text of the first link that has a name in it, else all the text."""
    for link in element.iter("a"):
        text = clean("".join(str(part) for part in link.itertext()))
        if _nickname(text):
            return text
    return clean("".join(str(part) for part in islice(element.itertext(), 50)))


def _nickname(text: str) -> str:
    """The text as a nickname without a label before it ('作者：'), '' when it is none."""
    name = _LABEL.sub("", clean(text)[: 4 * LONGEST]).strip()
    return "" if len(name) > LONGEST or _NO_NAME.search(name) else name
