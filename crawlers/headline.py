"""The title of a page: where <title>, meta, JSON-LD and the visible headline agree."""

from __future__ import annotations

import re

from tingchao.crawlers.blocks import Block, Page
from tingchao.crawlers.metadata import Metadata

LONGEST_TITLE = 200
"""Characters; a longer line is a paragraph (the longest headline in the pages at hand has 44)."""

_NOT_WORD = re.compile(r"\W+|_")
# What stands between a title and the name of the site: always a border / only beside blanks / only before a name.
_BORDER = re.compile(r"\s*(?:[_|｜¦]|--+|——+|::|»|«|<<|>>|›)\s*|\s+[-–—·•丨]\s*|\s*[-–—·•丨]\s+")
_DASH = re.compile(r"\s*[-–—·丨]\s*")
_SITE_WORD = re.compile(
    r"(?:网|网站|报|日报|晚报|时报|在线|频道|新闻|资讯|论坛|社区|博客|专栏|中心|门户|平台|客户端|订阅|号|站|首页|"
    r"官网|传媒|快讯|财经|科技|体育|娱乐|杂志|电视台|通讯社|新华社|人民政府|政府|委员会|大学|学院|医院|公司|集团|局|"
    r"厅|厂|设计|APP|[a-z0-9-]+\.(?:com|cn|net|org|gov|edu).*)$",
    re.IGNORECASE,
)
_GENERIC = re.compile(
    r"^(?:新闻|文章|内容|信息|详情|详细|正文|首页|通知|公告|动态|资讯|新闻(?:详情|中心|动态|资讯|内容|正文|页)|"
    r"(?:文章|内容|信息|资讯|公告)(?:详情|详细|正文|内容|页面)?|详情页?|详细(?:页|内容|信息)|无标题.*|untitled.*|"
    r"document|index|home|welcome.*|欢迎.*)$",
    re.IGNORECASE,
)
_TITLE_NAME = re.compile(r"title|headline|biaoti|\bbt\b|tit\b|subject|\btt\b", re.IGNORECASE)


def flat(text: str) -> str:
    """Letters, digits and Han characters only, lower case: what two spellings of a title must share."""
    return _NOT_WORD.sub("", text).lower()


def find_title(page: Page, meta: Metadata) -> tuple[str, int]:
    """The title ('' if the page has none) and the index of the block that shows it (-1 if none does).

    The visible headline wins when <title> or a meta title contains it, because <title> has the names of channel and
    site at its end and meta titles are cut by quote marks; without a visible one, <title> is cut where the other
    titles end or a site's name begins.
    """
    names = [meta.page_title, *meta.titles]
    stated = [name for name in names if name]
    index = _visible(page, stated)
    if index >= 0:
        block = page.blocks[index]
        title = block.text if block.heading else without_site(block.text, meta.sites)
        # The logo of a site without titles of its own shows <title> too.
        if not _is_site(title) or (block.heading in {1, 2} and not block.linked):
            return title, index
    title = _agreed(meta)
    if not title or _is_generic(title, meta):
        alone = _heading_alone(page, without=flat(title))
        if alone >= 0:
            return page.blocks[alone].text, alone
    if index >= 0:
        return title, index
    # The headline may hold more than the title (a mark "原创", a time): it still tells where the article begins.
    return title, _holding(page, title)


def _visible(page: Page, stated: list[str]) -> int:
    """The block that shows the title: the longest line that begins a stated title or makes up half of it."""
    flats = [flat(name) for name in stated]
    longest_meta = max((len(name) for name in flats[1:]), default=0)
    best, best_key = -1, (0.0, 0)
    for index, block in enumerate(page.blocks[:3000]):
        if block.hidden or not 2 <= block.size <= LONGEST_TITLE:
            continue
        text = flat(block.text)
        if len(text) < 2:
            continue
        for order, name in enumerate(flats):
            if not _shows(text, name, block, longest_meta if order == 0 else 0):
                continue
            # A headline element may be shorter than a line that repeats all of <title>, site's name included.
            key = (len(text) * (2.0 if block.heading in {1, 2} else 1.0), -index)
            if key > best_key:
                best, best_key = index, key
    return best


def _shows(text: str, name: str, block: Block, meta_length: int) -> bool:
    """Whether a line (flattened) is the title that a name states."""
    if text not in name:
        # <title> may be cut short ("…"); the headline then goes on.
        return block.heading in {1, 2} and len(name) >= 8 and text.startswith(name[:-1]) and len(text) <= 2 * len(name)
    share = len(text) / len(name)
    if name.startswith(text):
        # A short beginning is a column's name ("快讯 | 标题") unless it is a headline element.
        return (
            share >= 0.4 or len(text) >= 10 or (block.heading in {1, 2} and len(text) >= 4 and meta_length <= len(text))
        )
    return share >= 0.5 and len(text) >= 6 and not name.endswith(text)


def _agreed(meta: Metadata) -> str:
    """The title without a visible headline: a meta title that <title> contains, else <title> without the site."""
    page_title = meta.page_title
    whole = flat(page_title)
    cut = without_site(page_title, meta.sites)
    for title in meta.titles:
        short = without_site(title, meta.sites)
        text = flat(short)
        if len(text) >= 4 and (not whole or text in whole) and len(text) >= len(flat(cut)) * 0.8:
            return short
    if cut and not (_GENERIC.match(cut) and meta.titles):
        return cut
    return without_site(meta.titles[0], meta.sites) if meta.titles else ""


def without_site(title: str, sites: list[str] | None = None) -> str:
    """A title without the names of channel and site after it ("_网易新闻", " - 新华网") or before it ("新华网_…").

    >>> without_site("标题写得很长_网易新闻")
    '标题写得很长'
    """
    parts = [part.strip() for part in _BORDER.split(title)]
    parts = [part for part in parts if part]
    if not parts:
        return title.strip()
    known = {flat(site) for site in sites or [] if site}
    kept = parts[0]
    if len(parts) > 1:
        longest = max(parts, key=lambda part: (len(flat(part)), -parts.index(part)))
        first = len(flat(parts[0]))
        # The title is the first part, unless that is short and looks like a column or the site.
        if first < 0.4 * len(flat(longest)) and (first <= 6 or _SITE_WORD.search(parts[0]) or flat(parts[0]) in known):
            kept = longest
        start = title.find(kept)
        if kept == parts[0] and len(parts) > 2:
            kept = _two_part(title, parts, start, known)
    for border in reversed(list(_DASH.finditer(kept))):
        tail = kept[border.end() :].strip()
        head = kept[: border.start()].strip()
        if (
            len(flat(head)) >= 4
            and len(tail) <= 24
            and (flat(tail) in known or (len(tail) <= 16 and _SITE_WORD.search(tail)))
        ):
            kept = head
        else:
            break
    return kept


def _two_part(title: str, parts: list[str], start: int, known: set[str]) -> str:
    """The first part; a title such as "谈兵 | 标题 | 某网" keeps its column, because the headline shows it too."""
    first, second = parts[0], parts[1]
    if len(flat(first)) <= 4 and len(flat(second)) >= 8 and flat(second) not in known and not _SITE_WORD.search(second):
        return title[start : title.find(second) + len(second)]
    return first


def _is_generic(title: str, meta: Metadata) -> bool:
    """Whether a title names the site or a kind of page, not this page."""
    text = flat(title)
    if len(text) < 4 or _GENERIC.match(title) or text in {flat(site) for site in meta.sites}:
        return True
    return _is_site(title)


def _is_site(title: str) -> bool:
    """Whether a title reads like the name of a site: short, one phrase, ending in 网, 政府, 大学 and their like."""
    return (
        len(flat(title)) <= 16
        and _SITE_WORD.search(title) is not None
        and not re.search(r"[，。！？,!?：“”《》]", title)
    )


def _heading_alone(page: Page, without: str) -> int:
    """The block that looks like a headline although no title states it, by its element or class; -1 if none."""
    best, best_key = -1, (0, 0)
    for index, block in enumerate(page.blocks[:600]):
        if block.bad or block.hidden or block.linked * 2 > block.size or not 5 <= block.size <= 80:
            continue
        if flat(block.text) == without:
            continue
        rank = {1: 4, 2: 2, 3: 1}.get(block.heading, 0) + (3 if _TITLE_NAME.search(page.nodes[block.node].name) else 0)
        if rank and _SITE_WORD.search(block.text) and block.size <= 12:
            rank -= 2
        if rank > 0 and (rank, -index) > best_key:
            best, best_key = index, (rank, -index)
    return best


def _holding(page: Page, title: str) -> int:
    """The first line that holds the title and little else, headline elements first."""
    text = flat(title)
    if len(text) < 4:
        return -1
    held = -1
    most_stops = 1 + len(re.findall(r"[，。！？；…,!?;：:]", title))
    for index, block in enumerate(page.blocks[:3000]):
        if not len(text) <= block.size <= len(text) * 1.6 + 20 or block.linked * 2 > block.size:
            continue
        # A first sentence often begins with the words of the title.
        if text in flat(block.text) and block.stops <= most_stops:
            if block.heading:
                return index
            if held < 0:
                held = index
    return held
