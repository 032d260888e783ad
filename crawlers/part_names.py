"""What the class and id of an element say about the part of the page that it is."""

from __future__ import annotations

import re


def words(text: str) -> frozenset[str]:
    """A set of words written one after the other."""
    return frozenset(text.split())


# Names that page authors give to parts which are not the article. Strong: also when the name holds "content" or
# "article" (article-share, comment-content). Weak: only without such a word (a wrapper may well be called
# content-with-sidebar).
_STRONG = words(
    "comment comments cmt cmts commentlist pinglun pl gentie tie reply replies replylist discuss disqus respond nav "
    "navbar navigation topnav subnav menu menus "
    "submenu breadcrumb breadcrumbs crumb crumbs crumbtrail foot footer bottomnav copyright share sharebar shares "
    "sharing bdsharebuttonbox bshare jiathis social "
    "recommend recommends recommended recommendation recom recomm related relate relation relates relevant tuijian "
    "xiangguan guess "
    "sponsor advert advertisement guanggao gg adsense disclaimer shengming mianze pagination pager "
    "pagenav prevnext qrcode erweima ewm login signin signup register toolbar popup modal tooltip subscribe "
    "newsletter dashang reward donate "
    "jubao vote digg popular trending mostread"
)
_WEAK = words(
    "sidebar side aside rightbar right left hot rank ranking ranklist ad ads adv banner promo promotion tool tools "
    "tags taglist keyword keywords "
    "header head top topbar bottom author authorinfo writer bio profile card meta info source editor bianji "
    "search download app mobile phone weixin wechat links link friendlink friendlinks fontsize print more next prev "
    "previous list hotnews news newslist latest "
    "statement notice tip tips report"
)
_GOOD = words(
    "article articles content contents cont con main body text txt zhengwen neirong detail details post entry story "
    "news newstext artibody paragraph paragraphs "
    "rich richtext page container wrap wrapper section center zoom topic thread message"
)
# Such a name tells of something else on the page ("has-section-nav", "no-comments", "with-sidebar").
_ABOUT_OTHERS = re.compile(r"(?:has|with|without|no|not|hide|enable|disable)[-_]", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[\u4e00-\u9fff]+")


def suspicion(names: str) -> int:
    """What class and id of an element say against its being part of an article: 0 nothing, 1 something, 2 much."""
    tokens = {
        token.lower() for name in names.split() if not _ABOUT_OTHERS.match(name) for token in _TOKEN.findall(name)
    }
    if tokens & _STRONG:
        return 2
    return 1 if tokens & _WEAK and not tokens & _GOOD else 0
