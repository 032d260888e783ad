"""The blocks of a page become the lines of its article: find the part that holds the article, then drop what only stands in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tingchao.crawlers.blocks import Block, Page

# How much one character of surroundings weighs against one of article when the part is chosen. At 1 a list of comments joins the
# article it stands under; at 3 a page of short lines (verse, captions) falls apart.
NOISE_WEIGHT = 2.0

_LINE_META = re.compile(
    r"^\W*(?:(?:20|19)\d\d\s*[-/.年]\s*\d{1,2}\s*[-/.月]\s*\d{1,2}.{0,60}|\d{1,2}[-/月]\d{1,2}日?\s+\d{1,2}:\d\d.{0,40}|\d{1,2}:\d\d(?::\d\d)?"
    r"|(?:刚刚|昨天|前天|今天|\d+\s*(?:秒|分钟|小时|天|个?月|年)前).{0,20})$"
)
_LABEL = re.compile(
    r"^\W*(?:(?:发布|发表|更新|发稿|创建|上传|上线|生成|成文|最后更新|最后修改)?(?:时间|日期|于|者|单位|机构|人|部门)?|(?:信息|文章|稿件|新闻|内容|本文|文字|图片|资料)?(?:来源|出处|来自)|作者|记者|编辑|撰文|文字|摄影|供稿|审核|审稿|校对|"
    r"责任编辑|阅读(?:次数|量|数)?|浏览(?:次数|量|数)?|点击(?:次数|量|数)?|访问(?:次数|量)?|人气|评论(?:数)?|点赞|字号|字体(?:大小)?|标签|关键词|关键字|分类|栏目|所属栏目|编号|索引号|文号|打印|分享|收藏|原标题|专题|浏览)\s*[:：]"
)
_EDITOR = re.compile(
    r"^\W*(?:本文)?(?:(?:责任|执行|值班|网络|新媒体|本期|见习|实习|视觉|图片|版面|首席)?编[辑審审]|责编|責任編輯|主编|总编|监制|编审|审读|值班主任|值班编委|校对|一审|二审|三审|初审|复审|终审|终校|统筹|策划|终审)[^。，！？]{0,3}[:：丨|/／\s　].{0,60}$"
    r"|^\W*(?:责任编辑|责编|编辑|作者|原标题|文章来源|本文来源|稿件来源|信息来源|来源)\s*[:：].{0,80}$"
)
# Whatever follows such a line is not the article any more.
_END = re.compile(
    r"^\W*(?:(?:相关|延伸|推荐|热门|更多|精彩|最新|猜你|为您|为你|大家都在|热点|编辑|往期|近期|今日|24小时|48小时|一周|本周|本月)(?:的)?(?:\S{0,2}(?:阅读|新闻|文章|报道|推荐|链接|内容|资讯|话题|评论|喜欢|看|搜|排行|回顾|专题|图集|视频|导读|精选|帖子|主题|信息|附件下载|标签|产品|搜索|热点|关注)\S{0,4})"
    r"|(?:上|下|前|后)\s*一?\s*(?:篇|条|页|则|章)(?:\s*[:：].*|.{0,40})|(?:网友|全部|最新|热门|精彩|精选|用户|读者|文章|发表|我要|添加|查看|我来说两句|写)\S{0,2}(?:评论|跟贴|留言|点评|回复)(?:\s*[(（]?\s*\d*\s*(?:条|个)?\s*[)）]?)?|评论区?(?:\s*[(（]?\s*\d+\s*(?:条|个)?\s*[)）]?)?|发表回复|我来说两句|说点什么.{0,4}|参与(?:讨论|评论)"
    r"|(?:友情|相关|合作)链接|分享到?|分享至.{0,8}|免责声明|版权声明|法律声明|特别声明|郑重声明|版权所有|返回(?:顶部|首页|列表|搜狐).{0,6}|扫一扫.{0,30}|(?:长按|扫码|扫描).{0,12}二维码.{0,20}|THE END|END|(?:全文|正文)?完|阅读原文|赞赏|打赏|举报|网站地图|关于我们.{0,40})\W*$",
    re.IGNORECASE,
)
_NOTICE = re.compile(
    r"不代表(?:本|我|平台|网站|[\u4e00-\u9fff]{1,6}(?:网|报|号|社|平台|观点|立场))|仅代表.{0,12}(?:观点|立场|看法)|未经.{0,20}(?:授权|许可|允许|同意).{0,20}(?:转载|使用|复制|摘编|禁止|不得)|(?:禁止|谢绝|严禁|不得|请勿)(?:擅自|私自|任何)?.{0,6}转载|"
    r"转载.{0,12}(?:请|需|须|务必|必须).{0,10}(?:注明|标注|保留|联系|出处|授权)|版权(?:归|属于?).{0,24}(?:所有|作者)|(?:如|若).{0,16}(?:侵权|侵犯|版权|涉权).{0,40}(?:联系|删除|告知|处理|通知)|侵(?:权)?(?:必究|删)|违者.{0,8}(?:必究|追究)|"
    r"(?:本文|文章|图片|以上|内容|部分).{0,10}(?:来源于?|来自|取自|源自)(?:网络|互联网)|网友评论仅供|版权所有|All Rights Reserved|(?:特别|免责|版权|重要|郑重)?(?:声明|提示)[:：].{0,60}(?:本[文网站]|版权|转载|投资|观点|平台|立场)|"
    r"(?:仅供参考|不构成).{0,16}(?:投资|建议|依据)|投资有风险|据此操作|ICP[备证]|公网安备|举报电话|违法和?不良信息|用户上传|信息存储空间服务|Notice: The content above|"
    r"(?:欢迎|敬请|请|快来|长按|扫码|点击|搜索|加|添加).{0,14}(?:关注|订阅|下载|扫描|识别|扫码|加入).{0,24}(?:微信|公众号|二维码|客户端|APP|微博|订阅号|视频号|小程序)|(?:微信|公众号|二维码|客户端|APP).{0,14}(?:扫一扫|扫描|扫码|关注|下载)",
    re.IGNORECASE,
)
_BUTTON = re.compile(
    r"^[\W\d_]*(?:分享到?|分享|收藏|点赞|赞|踩|顶|转发|评论|回复|举报|打印|关闭|返回|关注|已关注|订阅|登录|注册|更多|查看更多|加载更多|展开|收起|展开全文|阅读全文|查看全文|点击查看|查看原图|原图|大图|小|中|大|广告|推广|下载|播放|暂停|全屏|复制链接|微信|微博|新浪微博|腾讯微博|"
    r"QQ空间|QQ|朋友圈|QQ好友|微信好友|易信|人人网|豆瓣|贴吧|二维码|用微信扫码二维码|分享至好友和朋友圈|字号|字体|默认|超大|A|T|AA|目录|导航|正文|首页|上一页|下一页|尾页|上一张|下一张|复制|点击加载|加载中|点击重新加载|图集|视频|我要评论|我要纠错|纠错|听新闻|手机看|语音播报|\+1|x|×|var.*|跟贴)[\W\d_]*$",
    re.IGNORECASE,
)
_HAN_OR_WORD = re.compile(r"[\w\u4e00-\u9fff]")


def article_blocks(page: Page, title: str, headline: int, is_frame: Callable[[str], bool] | None = None) -> list[Block]:
    """The blocks that make up the article of a page, in order; [] when nothing on the page reads like one.

    `headline` is the index of the block that shows the title (-1: none): what stands before it is not the article.
    `is_frame` tells lines known to return on other pages of the site.
    """
    shown = [block for block in page.blocks if not block.hidden]
    if sum(block.size for block in shown if not block.bad) < 20:
        shown = page.blocks
    worth = _worths(page, headline, is_frame, {id(block) for block in shown})
    top = _part(page, worth)
    if top < 0:
        return []
    node = page.nodes[top]
    first = max(node.first, headline + 1 if headline < node.last else node.first)
    return _trim(page, [i for i in range(first, node.last)], worth, title)


def _worths(page: Page, headline: int, is_frame: Callable[[str], bool] | None, shown: set[int]) -> list[float]:
    """For every block how many characters it speaks for (positive) or against (negative) an article."""
    after = [block for block in page.blocks[headline + 1 :] if not block.bad and id(block) in shown]
    anchored = headline >= 0 and sum(_worth(block) for block in after if _worth(block) > 0) >= 15
    worths = []
    for index, block in enumerate(page.blocks):
        if id(block) not in shown:
            worths.append(0.0)
            continue
        value = _worth(block)
        if value > 0 and ((anchored and index <= headline) or (is_frame is not None and is_frame(block.text))):
            value = -8.0
        worths.append(value)
    return worths


def _worth(block: Block) -> float:
    """One block alone: its characters outside links, if it reads like a sentence; a cost, if like a menu entry or a button."""
    size = block.size
    if block.bad:
        return -3.0
    if block.linked * 2 > size:
        return -(5.0 + min(size, 30) * 0.5)
    text = block.text
    if size <= 40 and _BUTTON.match(text):
        return -6.0
    if size <= 90 and (_LINE_META.match(text) or _LABEL.match(text)):
        return -4.0
    own = float(size - block.linked)
    if block.stops and size >= 8:
        if size <= 250 and _NOTICE.search(text):
            return -8.0
        return own
    return own if size >= 40 else (own * 0.3 if size >= 8 else 0.0)


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


def _trim(page: Page, indices: list[int], worth: Sequence[float], title: str) -> list[Block]:
    """Drop from the part what is not text of the article: buttons, links, lines about the article, and all after its end."""
    blocks = page.blocks
    kept: list[int] = []
    left = [0.0] * (len(indices) + 1)
    for place in range(len(indices) - 1, -1, -1):
        left[place] = left[place + 1] + max(0.0, worth[indices[place]])
    flat_title = _flat(title)
    for place, index in enumerate(indices):
        block = blocks[index]
        text = block.text
        if block.size <= 60 and _END.match(text):
            # In the first half it is a heading inside the article or a button above it.
            if left[place] < 0.5 * left[0]:
                break
            continue
        if block.bad or block.hidden or not _HAN_OR_WORD.search(text):
            continue
        if worth[index] < 0 and not _in_text(block):
            continue
        if block.size <= 100 and _EDITOR.match(text):
            if left[place + 1] < 0.2 * left[0]:
                break
            continue
        if not kept and flat_title and _flat(text) == flat_title:
            continue
        kept.append(index)
    return [blocks[index] for index in kept]


def _in_text(block: Block) -> bool:
    """Whether a block that costs may still be a line of the article: a heading, or a date line in the middle of it."""
    return False


def _flat(text: str) -> str:
    return re.sub(r"\W+", "", text).lower()
