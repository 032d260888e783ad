"""How long a successor waits for its state: 1 GB in values of the given bytes, restored from the compacted topic.

eval $(python tests/services.py up kafka); python bench/kafka_restore.py [BYTES_A_VALUE] [MEGABYTES]
"""

from __future__ import annotations

import os
import random
import sys
import time
from datetime import UTC, datetime

from tingchao.config.cluster import KafkaSettings
from tingchao.config.settings import KeepSettings
from tingchao.pipeline.kafka_cluster import Cluster
from tingchao.pipeline.kafka_log import KafkaLog
from tingchao.pipeline.kafka_topics import setup, wanted

_WORDS = ["地铁", "停运", "食品", "安全", "投诉", "物业", "学校", "通知", "公交", "改道"]


def main() -> None:
    size, megabytes = (int(text) for text in (sys.argv[1:] + ["4096", "1024"][len(sys.argv) - 1 :])[:2])
    prefix = f"bench-{os.getpid()}"
    cluster = Cluster.of(KafkaSettings(bootstrap=[os.environ["KAFKA_BOOTSTRAP"]], prefix=prefix, partitions=1))
    setup(cluster, wanted(cluster, KeepSettings(), {"bench": ("posts",)}))
    log, dice = KafkaLog(cluster, patience=30), random.Random(1)
    count = megabytes * 1024 * 1024 // size
    step, begun = max(1, 4 * 1024 * 1024 // size), time.monotonic()
    for start in range(0, count, step):
        state = {f"{number:x}": _value(dice, size) for number in range(start, min(count, start + step))}
        log.publish((), datetime.now(UTC), group="bench", state=state)
    print(f"{count} values of {size} bytes written in {time.monotonic() - begun:.0f} s")
    reader = log.reader("bench", ("posts",))
    reader.read(1)
    begun = time.monotonic()
    restored = reader.state(0)
    took = time.monotonic() - begun
    total = sum(map(len, restored.values())) / 2**20
    print(f"{len(restored)} values, {total:.0f} MB restored in {took:.1f} s: {total / took:.0f} MB/s")
    reader.close()
    log.close()
    admin = cluster.admin()
    admin.delete_topics([name for name in admin.list_topics() if name.startswith(f"{prefix}.")])
    admin.close()


def _value(dice: random.Random, size: int) -> bytes:
    """About as compressible as JSON of posts: half random digits, half words."""
    words = " ".join(dice.choices(_WORDS, k=size // 14)).encode()[: size // 2]
    return (words + dice.randbytes(size // 4 + 8).hex().encode())[:size]


if __name__ == "__main__":
    main()
