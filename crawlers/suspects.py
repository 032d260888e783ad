"""Which parts of a page are not its article: by their names, and because they repeat (comments, teasers)."""

from __future__ import annotations

import re
from collections import defaultdict

from tingchao.crawlers.blocks import Page, parse, read_page
from tingchao.crawlers.lines import worth

# Shares of the sentences of a page from which a part is not bad: by suspicion, and with the headline inside.
_HARMLESS = (0.0, 0.4, 0.8)
_HARMLESS_HEADED = 0.25

FEWEST_ITEMS = 3
"""Alike neighbours that make a list of comments or teasers."""

LONGEST_ITEM = 14
"""Lines of one comment or teaser; the sections of an article are longer."""

_TIME = re.compile(r"\d{1,2}:\d\d|(?:秒|分钟|小时|天|月|年)前|刚刚|昨天|前天|\d{4}-\d{1,2}-\d{1,2}")
_ITEM_TAGS_NOT = frozenset(
    {"p", "tr", "td", "th", "tbody", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "figure", "pre", "br", "dt"}
)


def judged_page(markup: str) -> Page:
    """The page read into blocks, those of suspicious parts marked as bad."""
    page = read_page(parse(markup))
    for block in page.blocks:
        block.worth = worth(block)
    judge(page)
    return page


def judge(page: Page, *, names: bool = True) -> None:
    """Mark the blocks in suspicious parts as bad, unless that would take the page's text with it.

    Names lie: articles lie in elements called "left", "list" or "comment-open". A suspicious part is not bad when it
    holds most of the sentences of the page (comments are often longer than the article, so the limit for a strong
    suspicion is higher), or the headline together with a good part of the sentences. With `names` false only
    repetition counts.
    """
    sums, headed = _sentences(page)
    repeats = _repeats(page, sums)
    bad = [False] * len(page.nodes)
    for index in range(1, len(page.nodes)):
        node = page.nodes[index]
        level = node.suspicion if names else (2 if node.tag in {"nav", "footer"} else 0)
        limit = _HARMLESS_HEADED if headed[index] else _HARMLESS[level]
        bad[index] = bad[node.parent] or index in repeats or (level > 0 and sums[index] <= limit * sums[0])
    for block in page.blocks:
        block.bad = bad[block.node] or (names and block.named)


def _sentences(page: Page) -> tuple[list[int], list[bool]]:
    """For every node the characters of sentences in it, and whether it holds an h1."""
    sums = [0] * len(page.nodes)
    headed = [False] * len(page.nodes)
    for block in page.blocks:
        if block.heading == 1 and not block.hidden and block.size >= 5:
            headed[block.node] = True
        if block.stops and block.size >= 20 and block.linked * 2 < block.size and not block.hidden and not block.named:
            sums[block.node] += block.size
    for index in range(len(page.nodes) - 1, 0, -1):
        parent = page.nodes[index].parent
        sums[parent] += sums[index]
        headed[parent] = headed[parent] or headed[index]
    return sums, headed


def _repeats(page: Page, sums: list[int]) -> set[int]:
    """The nodes that are comments or teasers: neighbours of one name, each with a link, a time or a button.

    When they hold most of the page they are the sections of an article, which stays, or, with a time in each, the
    posts of a thread, of which the first stays.
    """
    costly = _costly(page)
    children: dict[int, list[str]] = defaultdict(list)
    for node in page.nodes[1:]:
        if len(children[node.parent]) < 2:
            children[node.parent].append(node.name)
    groups: dict[tuple[int, str, tuple[str, ...]], list[int]] = defaultdict(list)
    for index in range(1, len(page.nodes)):
        node = page.nodes[index]
        if node.tag not in _ITEM_TAGS_NOT and 2 <= node.last - node.first <= LONGEST_ITEM:
            # Elements without a class are alike only if they begin alike.
            inner = tuple(children[index]) if node.name == "div." else ()
            groups[node.parent, node.name, inner].append(index)
    timed = _timed(page)
    found: set[int] = set()
    for group in groups.values():
        items = [index for index in group if _holds(page, index, costly)]
        if len(items) < FEWEST_ITEMS or len(items) < 0.7 * len(group):
            continue
        together = sum(sums[index] for index in group)
        if together <= 0.7 * sums[0]:
            # One section far longer than the others is no comment.
            if together == 0 or max(sums[index] for index in group) <= 0.6 * together:
                found.update(group)
        elif sum(_holds(page, index, timed) for index in group) >= 0.7 * len(group):
            # A thread: every post has its time. What it is about stands in the first, or before all of them.
            before = sum(
                block.size for block in page.blocks[: page.nodes[group[0]].first] if block.worth > 0 and block.stops
            )
            found.update(group if before >= 0.15 * together else group[1:])
    return found


def _holds(page: Page, index: int, counts: list[int]) -> bool:
    """Whether the lines of a node include one that was counted."""
    return counts[page.nodes[index].last] > counts[page.nodes[index].first]


def _timed(page: Page) -> list[int]:
    """Running count of the short lines with a time of day or "3小时前" in them."""
    counts = [0]
    for block in page.blocks:
        counts.append(counts[-1] + (block.size <= 60 and _TIME.search(block.text) is not None))
    return counts


def _costly(page: Page) -> list[int]:
    """Running count of the blocks that cost (links, times, buttons)."""
    counts = [0]
    for block in page.blocks:
        counts.append(counts[-1] + (block.worth < 0))
    return counts
