"""Scrapy's view of the settings, for `scrapy list` and `scrapy crawl` from the root (scrapy.cfg points here).

The configuration is the directory in TINGCHAO_CONFIG, or what ships with the project; the database is the file in
TINGCHAO_DB, or tingchao.db in the current directory (see crawlers/visit.py).
"""

from __future__ import annotations

import os
from pathlib import Path

from tingchao.config.politeness import scrapy_values
from tingchao.config.settings import load

_directory = os.environ.get("TINGCHAO_CONFIG")
globals().update(scrapy_values(load(Path(_directory) if _directory else None).main.crawl))
