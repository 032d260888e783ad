"""A fire in a metro as people write of it, and waiting until what it causes has happened."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRE = (
    "地铁二号线车厢发生火灾，乘客紧急疏散",
    "刚才地铁里爆炸起火，太可怕了",
    "突发：地铁站发生火灾，消防人员正在扑救，已有三人受伤送医",
    "地铁着火了，多人受伤送医，目前列车停运",
    "我在地铁上，前面车厢起火，浓烟滚滚，大家都在跑",
    "市消防救援支队：接警后赶赴地铁火灾现场，明火已被扑灭",
)


def wait_for(condition: Callable[[], object], seconds: float = 30) -> bool:
    """Whether the condition has come true within `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False
