"""A text becomes words: jieba's dictionary and cuts, by rjieba at 26 times the speed where there is a wheel for it."""

from __future__ import annotations

try:
    import rjieba

    def cut(text: str) -> list[str]:
        """Every word, unknown ones guessed."""
        return list(rjieba.cut(text))

    def known_words(text: str) -> list[str]:
        """Every word of the dictionary; what is unknown comes as single characters."""
        return list(rjieba.cut(text, hmm=False))

except ImportError:  # no wheel for this platform
    import jieba

    def cut(text: str) -> list[str]:
        """Every word, unknown ones guessed."""
        return list(jieba.cut(text))

    def known_words(text: str) -> list[str]:
        """Every word of the dictionary; what is unknown comes as single characters."""
        return list(jieba.cut(text, HMM=False))
