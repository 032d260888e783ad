"""The opening post of a thread, however short: what follows the title, by the parts that forums are made of.

Forum software names the element of a post's text (message, t_f, post-content, topic_content, cooked, bbWrapper …), and
all of it puts a time or a floor's number ("1楼", "#1") before the text and buttons or replies after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tingchao.crawlers.blocks import Block, Page
from tingchao.crawlers.body import SHORT
from tingchao.crawlers.lines import END, is_footer

_NEAR = 60
"""Lines after the title in which the opening post begins (a Discuz profile beside the post has about 20)."""

# Elements of a post's text: Discuz, phpwind, phpBB, vBulletin, XenForo, Discourse, and what others call theirs.
MESSAGE = re.compile(
    r"(?:^|[\s.])(?:t_f|t_fsz|tpc_content|cooked|bbwrapper|post_?body|post_?message(?:_?\d+)?|"
    r"message(?:[-_]?(?:body|content|text|inner))?|"
    r"(?:d_)?(?:post|thread|topic|floor|read|msg|bbs|louzhu|lz)[-_]?(?:content|body|text|message|msg|con))"
    r"(?=[\s_-]*\d*(?:\s|$))",
    re.IGNORECASE,
)
_MARKER = re.compile(
    r"\d{1,2}:\d\d|(?:秒|分钟|小时|天|月|年)前|刚刚|昨天|前天|\d{4}-\d{1,2}-\d{1,2}|楼主|^\W*(?:#\s*1|1\s*[楼#F])\W*$"
)
_STOP = re.compile(r"[，。！？；…,!?;~～]")
_WORD = re.compile(r"[^\W\d_]{2}")


def with_opening(
    page: Page, title: str, headline: int, found: list[Block], is_frame: Callable[[str], bool] | None = None
) -> list[Block]:
    """`found`, or the opening post where `found` is nothing, a reply, or a line from somewhere else on the page."""
    few = sum(block.size for block in found if block.stops) < SHORT
    kept = {id(block) for block in found}
    if not few and not _may_be_thread(page):
        return found
    message = first_message(page, headline)
    if message >= 0:
        node = page.nodes[message]
        lines = _lines(page, message, title)
        if any(id(block) in kept for block in page.blocks[node.first : node.last]):
            return found
        return lines if few or _in_reply(page, message, found) else found
    if not few or headline < 0:
        return found
    first = _first_sentence(page, title, headline, is_frame)
    if first < 0 or id(page.blocks[first]) in kept or (found and not _apart(page, first, found[0])):
        return found
    return _run(page, first)


def first_message(page: Page, headline: int) -> int:
    """The node of the first post after the headline, -1 without one that says anything."""
    suspects = _suspects(page, headline, 2)
    tried = 0  # what is inside an element that says nothing says nothing either
    for index, node in enumerate(page.nodes):
        if node.first <= headline or node.last <= max(node.first, tried) or suspects[index]:
            continue
        if MESSAGE.search(node.marks):
            if _lines(page, index, ""):
                return index
            tried = node.last
    return -1


def is_marked(page: Page, headline: int, message: int) -> bool:
    """Whether a time or a floor's number stands between the headline and the text, as in every thread."""
    between = page.blocks[headline + 1 : page.nodes[message].last]
    return any(block.size <= 60 and _MARKER.search(block.text) for block in between)


def _may_be_thread(page: Page) -> bool:
    """Whether two elements of the page have the same name of a post's text."""
    names: set[str] = set()
    for node in page.nodes:
        if node.last > node.first and MESSAGE.search(node.marks):
            if node.name in names:
                return True
            names.add(node.name)
    return False


def _in_reply(page: Page, message: int, found: list[Block]) -> bool:
    """Whether the text that was found lies in a later element of the same name: a longer reply to the post."""
    name = page.nodes[message].name
    kept = {id(block) for block in found}
    return any(
        node.name == name and any(id(block) in kept for block in page.blocks[node.first : node.last])
        for node in page.nodes[message + 1 :]
    )


def _lines(page: Page, index: int, title: str) -> list[Block]:
    """The lines of a post without buttons, times and the title said again.

    A post may be about what elsewhere is a footer's ("转载请注明出处，……"): if nothing else is in it, that is its text.
    """
    node = page.nodes[index]
    shown = [block for block in page.blocks[node.first : node.last] if not title or block.text != title]
    said = [block for block in shown if _says(block)]
    return said or [block for block in shown if block.stops and not block.hidden and block.linked * 2 <= block.size]


def _says(block: Block) -> bool:
    return (
        block.worth >= 0
        and not block.hidden
        and block.linked * 2 <= block.size
        and _WORD.search(block.text) is not None
        and not (block.size <= 60 and END.match(block.text))
        and not is_footer(block)
    )


def _suspects(page: Page, headline: int, level: int) -> list[bool]:
    """For every node whether it or one around it is named as something else than the text; not what holds the title."""
    around: set[int] = set()
    index = page.blocks[headline].node if headline >= 0 else 0
    while index >= 0:
        around.add(index)
        index = page.nodes[index].parent
    suspects = [False] * len(page.nodes)
    for index in range(1, len(page.nodes)):
        node = page.nodes[index]
        suspects[index] = suspects[node.parent] or (node.suspicion >= level and index not in around)
    return suspects


def _first_sentence(page: Page, title: str, headline: int, is_frame: Callable[[str], bool] | None) -> int:
    """The first line after the headline that reads like a sentence, or -1.

    A line without any mark of a sentence is not taken: it may be somebody's name.
    """
    for level in (1, 2):
        suspects = _suspects(page, headline, level)
        for index in range(headline + 1, min(len(page.blocks), headline + _NEAR)):
            block = page.blocks[index]
            if is_footer(block) or (4 < block.size <= 60 and END.match(block.text)):
                break
            if suspects[block.node] or block.named or block.heading or not _says(block) or block.text == title:
                continue
            if _STOP.search(block.text) and (is_frame is None or not is_frame(block.text)):
                return index
    return -1


def _apart(page: Page, first: int, other: Block) -> bool:
    """Whether buttons, links or an end lie between a line and the text that was found; or that stands before it."""
    for block in page.blocks[first + 1 :]:
        if block is other:
            return False
        if block.linked * 2 > block.size or END.match(block.text):
            return True
    return True


def _run(page: Page, first: int) -> list[Block]:
    """A line and those after it in the same element or in neighbours of the same name."""
    blocks, nodes = page.blocks, page.nodes
    own = nodes[blocks[first].node]
    run = [blocks[first]]
    for block in blocks[first + 1 :]:
        node = nodes[block.node]
        alike = block.node == blocks[first].node or (node.parent == own.parent and node.name == own.name)
        if not alike or not _says(block):
            break
        run.append(block)
    return run
