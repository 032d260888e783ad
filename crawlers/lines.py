"""What one line of a page tells by itself: a sentence, a button, a line about the article, the end of the article."""

from __future__ import annotations

import re

from tingchao.crawlers.blocks import Block

LINE_META = re.compile(
    r"^\W*(?:(?:发表|发布|更新|编辑|回复|创建|楼主|(?i:posted|published))\S{0,4}?\s*[:：@]?\s*)?(?:(?:20|"
    r"19)\d\d\s*[-/.年]\s*\d{1,2}\s*[-/.月]\s*\d{1,2}[^。！？]{0,60}|\d{1,2}[-/月]\d{1,2}日?\s+\d{1,2}:\d\d[^。！？]{0,40}|"
    r"\d{1,2}:\d\d(?::\d\d)?"
    r"|(?:刚刚|昨天|前天|今天|\d+\s*(?:秒|分钟|小时|天|个?月|年)前)[^，。！？,!?]{0,20})$"
)
_LABEL = re.compile(
    r"^\W*(?:(?:发布|发表|更新|发稿|创建|上传|上线|生成|成文|最后更新|最后修改)?(?:时间|日期|于|者|单位|机构|人|"
    r"部门)?|(?:信息|文章|稿件|新闻|内容|本文|文字|图片|资料)?(?:来源|出处|来自)|作者|记者|编辑|撰文|文字|摄影|供稿|"
    r"审核|审稿|校对|"
    r"责任编辑|阅读(?:次数|量|数)?|浏览(?:次数|量|数)?|点击(?:次数|量|数)?|访问(?:次数|量)?|人气|评论(?:数)?|点赞|"
    r"字号|字体(?:大小)?|标签|关键词|关键字|分类|栏目|所属栏目|编号|索引号|文号|打印|分享|收藏|原标题|专题|"
    r"浏览)\s*[:：]"
)
# What a site counts beside a teaser, without the colon of a label: 阅读数 2333, 1.2万次浏览.
_COUNT = re.compile(
    r"^\W*(?:(?:阅读|浏览|点击|访问|播放|评论|点赞|收藏|转发|人气)(?:次数|量|数)?\s*[\d.,]+\s*[万wk]?\+?\s*[次人条]?"
    r"|[\d.,]+\s*[万wk]?\+?\s*[次人条]?\s*(?:阅读|浏览|点击|访问|播放|评论|点赞|收藏|转发|围观))\W*$",
    re.IGNORECASE,
)
EDITOR = re.compile(
    r"^\W*(?:本文)?(?:(?:责任|执行|值班|网络|新媒体|本期|见习|实习|视觉|图片|版面|首席)?编[辑審审]|责编|責任編輯|"
    r"主编|总编|监制|编审|审读|值班主任|值班编委|校对|一审|二审|三审|初审|复审|终审|终校|统筹|策划|"
    r"终审)[^。，！？]{0,3}[:：丨|/／\s　].{0,60}$"
    r"|^\W*(?:责任编辑|责编|编辑|作者|原标题|文章来源|本文来源|稿件来源|信息来源|来源)\s*[:：].{0,80}$"
)
CREDIT = re.compile(
    r"^\W*(?:图文?|文图?|文字|摄影?|摄影报道|撰文|图片)\s*[/／丨|｜]\s*[^。，！？；,.!?;]{1,40}$"
    r"|^\W*作者\s*[:：][^。，！？；]{1,40}$"
    r"|^[（(]\s*[^\s。，！？；()（）]{0,10}?(?:记者|通讯员)(?:[\s:：/／][^。，！？；()（）]{1,50}|[\u4e00-\u9fff]{2,3})[)）]$"
)
"""A line that only names who wrote or took what."""
# Whatever follows such a line is not the article any more.
END = re.compile(
    r"^\W*(?:(?:相关|延伸|推荐|热门|更多|精彩|最新|猜你|为您|为你|大家都在|热点|编辑|往期|近期|今日|24小时|48小时|"
    r"一周|本周|本月)(?:的)?(?:\S{0,2}(?:阅读|新闻|文章|报道|推荐|链接|内容|资讯|话题|评论|喜欢|看|搜|排行|回顾|专题|"
    r"图集|视频|导读|精选|帖子|主题|信息|附件下载|标签|产品|搜索|热点|关注)\S{0,4})"
    r"|(?:上|下|前|后)\s*一?\s*(?:篇|条|页|则|章)(?:\s*[:：].*|.{0,40})|(?:网友|全部|最新|热门|精彩|精选|用户|读者|"
    r"文章|发表|我要|添加|查看|我来说两句|写)\S{0,2}(?:评论|跟贴|留言|点评|回复)(?:\s*[(（]?\s*\d*\s*(?:条|"
    r"个)?\s*[)）]?)?|评论区?(?:\s*[(（]?\s*\d+\s*(?:条|个)?\s*[)）]?)?|发表回复|我来说两句|说点什么.{0,4}|"
    r"参与(?:讨论|评论)"
    r"|(?:友情|相关|合作)链接|分享到?|分享至.{0,8}|免责声明|版权声明|法律声明|特别声明|郑重声明|版权所有|返回(?:顶部|"
    r"首页|列表|搜狐).{0,6}|扫一扫.{0,30}|(?:长按|扫码|扫描).{0,12}二维码.{0,20}|THE END|END|(?:全文|正文)?完|"
    r"阅读原文|赞赏|打赏|举报|网站地图|关于我们.{0,40}|"
    r"(?:正文|本文|文章)(?:已|到此)?结束.{0,30}|(?:点亮|点个|右下角|戳).{0,6}在看.{0,20})\W*$",
    re.IGNORECASE,
)
NOTICE = re.compile(
    r"不代表(?:本|我|平台|网站|[\u4e00-\u9fff]{1,6}(?:网|报|号|社|平台|观点|立场))|仅代表.{0,12}(?:观点|立场|看法)|"
    r"未经.{0,20}(?:授权|许可|允许|同意).{0,20}(?:转载|使用|复制|摘编|禁止|不得)|(?:禁止|谢绝|严禁|不得|请勿)(?:擅自|"
    r"私自|任何)?.{0,6}转载|"
    r"转载.{0,12}(?:请|需|须|务必|必须).{0,10}(?:注明|标注|保留|联系|出处|授权)|版权(?:归|属于?).{0,24}(?:所有|作者)|"
    r"(?:如|若).{0,16}(?:侵权|侵犯|版权|涉权).{0,40}(?:联系|删除|告知|处理|通知)|侵(?:权)?(?:必究|删)|"
    r"违者.{0,8}(?:必究|追究)|"
    r"(?:本文|文章|图片|以上|内容|部分).{0,10}(?:来源于?|来自|取自|源自)(?:网络|互联网)|网友评论仅供|版权所有|All "
    r"Rights Reserved|(?:特别|免责|版权|重要|郑重)?(?:声明|提示)[:：].{0,60}(?:本[文网站]|版权|转载|投资|观点|平台|"
    r"立场)|"
    r"(?:仅供参考|不构成).{0,16}(?:投资|建议|依据)|投资有风险|据此操作|ICP[备证]|公网安备|举报电话\s*[:：(（\d]|违法和?不良信息|"
    r"用户上传|信息存储空间服务|Notice: The content above|"
    r"(?:欢迎|敬请|请|快来|长按|扫码|点击|搜索|加|添加).{0,14}(?:关注|订阅|下载|扫描|识别|扫码|加入).{0,24}(?:微信|"
    r"公众号|二维码|客户端|APP|微博|订阅号|视频号|小程序)|(?:微信|公众号|二维码|客户端|APP).{0,14}(?:扫一扫|扫描|"
    r"扫码|关注|下载)",
    re.IGNORECASE,
)
# Lines of a footer, however long.
_LEGAL = re.compile(
    r"ICP[备证]|公网安备|Copyright|©|All Rights Reserved|(?:不良信息|违法信息|信息)举报|举报电话\s*[:：(（\d]|"
    r"许可证(?:编号|号)?\s*[:：（(a-z\d]|增值电信|备案(?:编)?号|营业执照\s*(?:$|[:：|｜\d]|注册)|客服(?:电话|热线)\s*[:：(（\d]|"
    r"法律顾问\s*[:：]|版权所有|"
    r"\b(?:powered|designed|hosted) by\b|技术支持\s*[:：]",
    re.IGNORECASE,
)
# A software's or a site's mark at the beginning of a line is a footer whatever follows it; so is a reply form's hint.
_FOOTER = re.compile(
    r"^\W*(?:powered by\b|copyright\b|©|版权所有|"
    r"[您你]?(?:需要|必须|请)先?登[录陆]\S{0,6}(?:回帖|回复|评论|发帖|发表|参与))",
    re.IGNORECASE,
)
_BAR = re.compile(r"\s*[|｜¦┊]\s*")
_DAY = (
    r"(?:(?:19|20)\d\d\s*[-/.年]\s*)?\d{1,2}\s*[-/.月]\s*\d{1,2}\s*[日号]?"
    r"(?:\s*[(（]?(?:星期|周)[一二三四五六日天][)）]?)?(?:[T\s]*\d{1,2}:\d\d(?::\d\d)?)?"
)
_YEAR_DAY = re.compile(rf"(?=(?:19|20)\d\d){_DAY}")
_WHO = (
    r"(?:(?:信息|文章|稿件|新闻|内容|本文)?(?:来源|出处)|(?:发布|发表|更新)?(?:时间|日期)|作者|记者|通讯员|"
    r"(?:责任|执行|值班|网络|新媒体|本期|见习|实习)?编[辑輯]|责编|主编|编审|审核|校对|供稿|摄影|撰文|监制|"
    r"阅读(?:量|数|次数)?|浏览(?:量|数|次数)?|点击(?:量|数|次数)?|评论数?|字体(?:大小)?|字号)"
)
# Parts of a line about the article: a day, what is said of whom ("责任编辑：…"), the sizes of letters.
_ABOUT = re.compile(
    rf"{_DAY}|{_WHO}\s*[:：]\s*[^\s:：，。！？；|｜]{{0,24}}|(?<!\w)(?:大|中|小|放大|正常|缩小|默认|超大|打印|分享|收藏)(?!\w)"
)
_NAMED = re.compile(rf"{_WHO}\s*[:：]")
_LONGEST_ABOUT = 90
"""Characters of a line about the article (day, source, editor, checks and sizes of letters come to 70)."""

_SOURCE_NAME = 14
"""Characters of a name without a label in such a line ("澜江市人民政府办公室" has 10)."""
_BUTTON = re.compile(
    r"^[\W\d_]*(?:分享到?|分享|收藏|点赞|赞|踩|顶|转发|评论|回复|举报|打印|关闭|返回|关注|已关注|订阅|登录|注册|更多|"
    r"查看更多|加载更多|展开|收起|展开全文|阅读全文|查看全文|点击查看|查看原图|原图|大图|小|中|大|广告|推广|下载|"
    r"播放|暂停|全屏|复制链接|微信|微博|新浪微博|腾讯微博|"
    r"QQ空间|QQ|朋友圈|QQ好友|微信好友|易信|人人网|豆瓣|贴吧|二维码|用微信扫码二维码|分享至好友和朋友圈|字号|字体|"
    r"默认|超大|A|T|AA|目录|导航|正文|首页|上一页|下一页|尾页|上一张|下一张|复制|点击加载|加载中|点击重新加载|图集|"
    r"楼主|只看(?:该作者|楼主|大图|他|她)|电梯直达|(?:倒序|正序)(?:浏览|看帖|排列)|显示全部楼层|阅读模式|发消息|"
    r"加好友|发帖|沙发|板凳|地板|使用道具|评分|注册会员|"
    r"视频|我要评论|我要纠错|纠错|听新闻|手机看|语音播报|\+1|x|×|var.*|跟贴)[\W\d_]*$",
    re.IGNORECASE,
)


def worth(block: Block) -> float:
    """What one line says for (its characters outside links) or against an article (a menu entry, a button)."""
    size = block.size
    if block.linked * 2 > size:
        return -(5.0 + min(size, 30) * 0.5)
    text = block.text
    if size <= 40 and (_BUTTON.match(text) or _COUNT.match(text)):
        return -6.0
    if size <= _LONGEST_ABOUT and (LINE_META.match(text) or _LABEL.match(text) or is_about(text)):
        return -4.0
    if is_footer(block):
        return -8.0
    own = float(size - block.linked)
    if (block.stops and size >= 8) or size >= 40:
        return own
    # A short line without a stop: a heading, a caption, a line of verse, but as often a label.
    return own * 0.3 if size >= 8 else 0.0


def is_footer(block: Block) -> bool:
    """Whether a line is of those at the foot of pages: software, copyright, licence numbers, disclaimers, a menu."""
    text, size = block.text, block.size
    if size < 8:
        return False
    if (size <= 250 and NOTICE.search(text)) or (size <= 600 and _is_legal(text, size)):
        return True
    return size <= 200 and (_FOOTER.match(text) is not None or _is_menu(text, block.stops))


def _is_menu(text: str, stops: int) -> bool:
    """Whether a line is names beside one another: 关于我们 | 联系我们 | 网站地图."""
    parts = _BAR.split(text)
    return len(parts) >= 3 and stops == 0 and all(len(part) <= 12 for part in parts)


def is_about(text: str) -> bool:
    """Whether a line says only when, where from or by whom: 11-22 责任编辑：…, 某某网 2020-03-05 10:00 编辑：….

    A day alone is no such line here: at the end of a notice it is its date (see LINE_META for those with a clock).
    """
    if not _NAMED.search(text) or re.search(r"[。！？；]", text):
        return False
    rest = _ABOUT.sub(" ", text)
    return len(re.sub(r"[\W_]+", "", rest)) <= (_SOURCE_NAME if re.search(_DAY, text) else 0)


def is_dateline(text: str) -> bool:
    """Whether a line is a day with the year and at most a short name beside it: 某某晚报2022-12-05 14:30."""
    rest, days = _YEAR_DAY.subn(" ", text, count=1)
    return days == 1 and not re.search(r"[，。！？；,!?;]", rest) and len(re.sub(r"[\W_]+", "", rest)) <= _SOURCE_NAME


def _is_legal(text: str, size: int) -> bool:
    """Whether a line is one of a footer: one sign in a short line, two in a long one."""
    return len(_LEGAL.findall(text)) >= (1 if size <= 60 else 2)
