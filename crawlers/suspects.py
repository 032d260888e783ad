"""Which parts of a page are not its article: by their names, and because they repeat (comments, teasers)."""

from __future__ import annotations

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

_ITEM_TAGS_NOT = frozenset({"p", "tr", "td", "th", "tbody", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "figure", "pre", "br", "dt"})


def judged_page(markup: str) -> Page:
    """The page read into blocks, those of suspicious parts marked as bad."""
    page = read_page(parse(markup))
    judge(page)
    return page


def judge(page: Page, *, names: bool = True) -> None:
    """Mark the blocks in suspicious parts as bad, unless that would take the page's text with it.

    Names lie: articles lie in elements called "left", "list" or "comment-open". A suspicious part is not bad when it holds
    most of the sentences of the page (comments are often longer than the article, so the limit for a strong suspicion is
    higher), or the headline together with a good part of the sentences. With `names` false only repetition counts.
    """
    for block in page.blocks:
        block.bad = False
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
    """The nodes that are comments or teasers: neighbours of one name, each with a link, a time or a button beside its text.

    Not when they hold half of the page's sentences before any other text: an article made of such sections stays.
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
    found: set[int] = set()
    for group in groups.values():
        items = [index for index in group if costly[page.nodes[index].last] > costly[page.nodes[index].first]]
        together = sum(sums[index] for index in group)
        uneven = together > 0 and max(sums[index] for index in group) > 0.6 * together
        if len(items) >= FEWEST_ITEMS and len(items) >= 0.7 * len(group) and together <= 0.7 * sums[0] and not uneven:
            found.update(group)
    return found


def _costly(page: Page) -> list[int]:
    """Running count of the blocks that cost (links, times, buttons)."""
    counts = [0]
    for block in page.blocks:
        block_costs = worth(block) < 0
        counts.append(counts[-1] + block_costs)
    return counts
