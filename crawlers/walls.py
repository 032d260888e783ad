"""Pages that come with status 200 and are no article: log-in, captcha, "访问过于频繁"."""

from __future__ import annotations

import re

from tingchao.crawlers.blocks import Block, Page
from tingchao.crawlers.body import article_blocks
from tingchao.crawlers.headline import find_title
from tingchao.crawlers.metadata import read_metadata
from tingchao.crawlers.opened import Opened, open_page
from tingchao.crawlers.opening import first_message, is_marked

ARTICLE_FROM = 120
"""Characters of text from which a page is an article, whatever log-in boxes it has (a short item has 100 to 150)."""

MENU_ENTRY = 6
"""Characters of the longest entry of a menu; a longer link may be a headline (as in links.py)."""

FEWEST_HEADLINES = 3
"""Headlines that make a list; a log-in page has one or two long links (forgotten password, terms of use)."""

LONGEST_TITLE = 22
"""Characters of the title of a log-in page with the name of its site ("用户登录 - 澜江市民政务服务平台")."""

_TITLE = re.compile(
    r"(?:^|[^\w])(?:用户|会员|账号|帐号|统一)?(?:登录|登陆|登入|登錄)(?:页面?|界面|中心)?(?:$|[^\w])|^(?:log ?in|"
    r"sign ?in)\b|验证码|(?:安全|身份|人机|访问|滑动|滑块|行为)(?:验证|认证|检测)|访问(?:异常|受限|频繁|过于频繁)|"
    r"just a moment|attention required|access denied|are you (?:a )?(?:human|robot)|verify you are|captcha|security "
    r"check|统一身份认证",
    re.IGNORECASE,
)
_ASKS_LOGIN = re.compile(
    r"请(?:先|您先|您)?(?:登录|登陆|登錄|登入)|(?:登录|登陆)(?:后|之后|以后|才|即可|方可)[^。]{0,8}(?:查看|阅读|继续|"
    r"可见|浏览|访问|操作|使用)|(?:需要?|必须|尚未|还没有|未)(?:先)?(?:登录|登陆)|您(?:还|尚)?(?:没有|未)登录|"
    r"您(?:无权|没有权限)|没有权限(?:访问|查看)|please (?:log|sign) ?in|you must be logged in|(?:log|sign) in to "
    r"(?:continue|view|read)",
    re.IGNORECASE,
)
_ASKS_PROOF = re.compile(
    r"请?(?:输入|填写)(?:图片中的|图中的|下方的?|以下)?(?:字符|验证码)|请?(?:完成|进行|通过)[^。]{0,8}验证|(?:拖动|"
    r"滑动|按住)[^。]{0,6}滑块|点击按钮(?:开始|进行)?验证|访问(?:过于|太|太过)?频繁|(?:异常|恶意)(?:的)?(?:流量|访问|"
    r"请求)|您的?(?:IP|网络|访问|操作)[^。]{0,12}(?:异常|受限|被限制|被禁|拒绝)|"
    r"环境异常|确认您?(?:不)?是(?:真人|机器人)|unusual traffic|checking your browser|enable javascript and cookies|"
    r"verify (?:that )?you are (?:a )?human",
    re.IGNORECASE,
)
_CAPTCHA_PARTS = re.compile(
    r"geetest|g-recaptcha|h-captcha|hcaptcha\.com|TCaptcha|cf-challenge|cf_chl_|challenge-platform|nc_1_wrapper|"
    r"aliyun[-_]captcha|captcha-container|sec_sdk_build",
    re.IGNORECASE,
)
_SENT_TO_LOGIN = re.compile(
    r"""(?:location(?:\.href)?\s*=\s*|location\.(?:replace|assign)\(\s*|http-equiv=["']?refresh["']?[^>]{0,60}url=)["']?[^"'<>]{0,120}(?:login|passport|signin|sso|captcha|verify)""",
    re.IGNORECASE,
)


def is_login_wall(body: bytes | str, content_type: str = "") -> str | None:
    """Why a page is a log-in or captcha page instead of an article ('log-in title', …), or None. Never raises.

    A page with an article is none, whatever boxes it has: the text must be missing, or be the request to log in itself.
    """
    opened = open_page(body.encode("utf-8", "replace") if isinstance(body, str) else body, content_type)
    headlines = _headlines(opened.page)
    blocks = article_blocks(opened.page, "", -1)
    text, whole = _said(blocks, headlines), len(_said(blocks, set()))
    if whole >= ARTICLE_FROM:
        # Instructions and terms of use may follow the request; an article does not begin with it.
        return _asks(text[:40]) if whole < 2 * ARTICLE_FROM else None
    title = read_metadata(opened.page.root, "").page_title
    # A longer title with such a word is a headline ("警惕验证码短信诈骗……").
    if _TITLE.search(title) and len(title) <= LONGEST_TITLE:
        return f"title of a log-in or captcha page: {title}"
    if _is_thread(opened):
        return None
    shown = _said([block for block in opened.page.blocks if not block.hidden], headlines)[:20_000]
    asked = _asks(text) or (_asks(shown) if len(text) < 20 and len(shown) < 600 else None)
    return asked or (None if headlines else _only_a_form(opened, text, shown))


def _headlines(page: Page) -> set[int]:
    """The lines (by id) that are links to articles, of a page that lists some: they ask nothing of who reads them."""
    links = [block for block in page.blocks if block.size > MENU_ENTRY and block.linked >= 0.8 * block.size]
    return {id(block) for block in links} if len(links) >= FEWEST_HEADLINES else set()


def _said(blocks: list[Block], headlines: set[int]) -> str:
    return " ".join(block.text for block in blocks if id(block) not in headlines)


def _is_thread(opened: Opened) -> bool:
    """Whether the page is a post of one sentence under its title: forums have a log-in form on each of their pages."""
    page = opened.page
    _, headline = find_title(page, read_metadata(page.root, ""))
    message = first_message(page, headline) if headline >= 0 else -1
    if message < 0 or not is_marked(page, headline, message):
        return False
    node = page.nodes[message]
    said = " ".join(block.text for block in page.blocks[node.first : node.last])
    return _asks(said) is None


def _only_a_form(opened: Opened, text: str, shown: str) -> str | None:
    """Why a page without a sentence that says so is a wall all the same: a password box, a captcha, a redirect."""
    root = opened.page.root
    password = root is not None and any((box.get("type") or "").lower() == "password" for box in root.iter("input"))
    # One sentence may be all that an article has; without even that, a password box is what the page is for.
    if len(text) >= 20 and not (password and len(shown) < 200):
        return None
    part = _CAPTCHA_PARTS.search(opened.markup)
    if password:
        return "a password box and no text"
    if part:
        return f"a captcha ({part[0]}) and no text"
    if len(shown) < 200 and _SENT_TO_LOGIN.search(opened.markup):
        return "a redirect to a log-in page and no text"
    return None


def _asks(text: str) -> str | None:
    """What a text asks the reader to do, None if nothing."""
    for pattern, reason in ((_ASKS_LOGIN, "asks to log in"), (_ASKS_PROOF, "asks for a captcha")):
        match = pattern.search(text)
        if match:
            return f"{reason}: {match[0][:40]}"
    return None
