"""The blocks of a page become the lines of its article: find its part, then drop what only stands there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tingchao.crawlers.blocks import Block, Page
from tingchao.crawlers.lines import CREDIT, EDITOR, END, is_dateline
from tingchao.crawlers.suspects import judge

# How much one character of surroundings weighs against one of article when the part is chosen. At 1 a list of
# comments joins the article it stands under; at 3 a page of short lines (verse, captions) falls apart.
NOISE_WEIGHT = 2.0

SHORT = 60
"""Characters of sentences below which an article is doubted (a one-sentence news item has 50 to 100)."""

_PARAGRAPHS = frozenset({"p", "div", "section", "blockquote"})
_HAN_OR_WORD = re.compile(r"[\w\u4e00-\u9fff]")


def article_blocks(page: Page, title: str, headline: int, is_frame: Callable[[str], bool] | None = None) -> list[Block]:
    """The blocks that make up the article of a page, in order; [] when nothing on the page reads like one.

    `headline` is the index of the block that shows the title (-1: none): what stands before it is not the article.
    `is_frame` tells lines known to return on other pages of the site.
    """
    found = _best_part(page, title, headline, is_frame)
    if _sentences(found) < SHORT:
        # The names of its parts may have hidden the article: read again without them, but do not trade one sentence
        # for three sentences of whatever else the page holds.
        judge(page, names=False)
        other = _best_part(page, title, headline, is_frame)
        if _sentences(other) >= 4 * max(SHORT / 4, _sentences(found)):
            return other
    return found


def _sentences(blocks: list[Block]) -> int:
    return sum(block.size for block in blocks if block.stops)


def _best_part(page: Page, title: str, headline: int, is_frame: Callable[[str], bool] | None) -> list[Block]:
    shown = [block for block in page.blocks if not block.hidden]
    if sum(block.size for block in shown if not block.bad) < 20:
        shown = page.blocks
    visible = {id(block) for block in shown}
    if not _anchors(page, headline, visible):
        headline = -1
    worth = _worths(page, headline, is_frame, visible)
    top = _part(page, worth)
    if top < 0:
        return []
    node = page.nodes[top]
    first = max(node.first, headline + 1 if headline < node.last else node.first)
    first, last = _with_neighbours(page, top, first, node.last, worth)
    return _trim(page, list(range(first, last)), worth, title)


def _anchors(page: Page, headline: int, shown: set[int]) -> bool:
    """Whether the article stands after the headline: there is text, and not five times more before it."""
    before = after = 0.0
    for index, block in enumerate(page.blocks):
        if block.worth > 0 and not block.bad and id(block) in shown:
            if index > headline:
                after += block.worth
            elif index < headline:
                before += block.worth
    return headline >= 0 and after >= 15 and after * 5 >= before


def _worths(page: Page, headline: int, is_frame: Callable[[str], bool] | None, shown: set[int]) -> list[float]:
    """For every block how many characters it speaks for (positive) or against (negative) an article."""
    worths = []
    for index, block in enumerate(page.blocks):
        value = -3.0 if block.bad else block.worth
        framed = value >= 0 and is_frame is not None and is_frame(block.text)
        if id(block) not in shown:
            value = 0.0
        elif index == headline:
            value = min(value, 0.0)  # neither text nor noise: it may stand in the element of the article or before it
        elif framed or (value > 0 and index < headline):
            value = -8.0
        worths.append(value)
    return worths


def _part(page: Page, worth: Sequence[float]) -> int:
    """The node whose blocks are worth most together, -1 when none is worth anything.

    A page's article lies in one element, and everything else in it is either worth little or costs; so the sum over the
    subtree is largest there. Of equal sums the deepest node is taken.
    """
    sums = [0.0] * len(page.nodes)
    for index, block in enumerate(page.blocks):
        value = worth[index]
        sums[block.node] += value if value > 0 else value * NOISE_WEIGHT
    best, best_sum = -1, 0.0
    for index in range(len(page.nodes) - 1, -1, -1):
        if sums[index] > best_sum:
            best, best_sum = index, sums[index]
        parent = page.nodes[index].parent
        if parent >= 0:
            sums[parent] += sums[index]
    return best


def _with_neighbours(page: Page, top: int, first: int, last: int, worth: Sequence[float]) -> tuple[int, int]:
    """The part and the paragraphs beside it, as the range of their blocks.

    Where the text lies bare between menu and footer, what surrounds it costs more than its short paragraphs are worth,
    and one of them is the best part. Its neighbours in an element of the same name, or in none, belong to it.
    """
    node = page.nodes[top]
    alone = node.tag == "p" or node.last - node.first == 1  # an element with lines of its own is a part, no paragraph
    if node.parent < 0 or node.tag not in _PARAGRAPHS or not alone:
        return first, last

    def beside(index: int) -> bool:
        block = page.blocks[index]
        other = page.nodes[block.node]
        alike = other.parent == node.parent and other.name == node.name
        said = worth[index] > 0 or (worth[index] == 0 and not block.linked)
        return (alike or block.node == node.parent) and said and not (block.bad or block.hidden or block.heading)

    while last < len(page.blocks) and beside(last) and not END.match(page.blocks[last].text):
        last += 1
    while first > 0 and beside(first - 1):
        first -= 1
    return first, last


def _trim(page: Page, indices: list[int], worth: Sequence[float], title: str) -> list[Block]:
    """Drop from the part what is not the article: buttons, links, lines about the article, and all after its end."""
    blocks = page.blocks
    kept: list[int] = []
    left = [0.0] * (len(indices) + 1)
    for place in range(len(indices) - 1, -1, -1):
        left[place] = left[place + 1] + max(0.0, worth[indices[place]])
    flat_title = _flat(title)
    for place, index in enumerate(indices):
        block = blocks[index]
        text = block.text
        if block.size <= 60 and END.match(text):
            # In the first half it is a heading inside the article or a button above it.
            if left[place] < 0.5 * left[0]:
                break
            continue
        if block.bad or block.hidden or not _HAN_OR_WORD.search(text):
            continue
        if worth[index] < 0 and not _in_text(block, follows=bool(kept) and kept[-1] == index - 1):
            continue
        if block.size <= 100 and EDITOR.match(text):
            if left[place + 1] < 0.2 * left[0]:
                break
            continue
        if block.size <= 70 and CREDIT.match(text):
            continue
        if not kept and ((flat_title and _flat(text) == flat_title) or is_dateline(text)):
            continue
        kept.append(index)
    return [blocks[index] for index in kept]


def _in_text(block: Block, *, follows: bool) -> bool:
    """Whether a line that costs is one of the article: the day under a notice, a sentence with long links in it."""
    if follows and _SIGNED.match(block.text):
        return True
    return (
        block.stops >= 2
        and block.size >= 30
        and block.linked * 2 > block.size
        and block.size - block.linked >= 12
        and block.links <= 4
    )


_SIGNED = re.compile(
    r"^[(（]?\s*(?:\d{4}|"
    r"[一二][〇○零OΟ一二三四五六七八九]{3})\s*年\s*[\d一二三四五六七八九十]{1,3}\s*月\s*[\d一二三四五六七八九十]{1,3}"
    r"\s*日\s*[)）]?$"
)


def _flat(text: str) -> str:
    return re.sub(r"\W+", "", text).lower()
