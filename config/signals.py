"""The nine early-warning signals, in the order of every vector of signals; the annotation guideline defines them."""

from tingchao.config.language import text

SIGNALS = ("safety", "disaster", "health", "outage", "complaint", "fraud", "rumour", "leak", "help")


def head_name(head: str, language: str) -> str:
    """How people read the name of a head of the models: a signal, a sentiment or another one."""
    if head in SIGNALS:
        return text(f"signal.{head}", language)
    kind = "sentiment" if head in {"negative", "neutral", "positive"} else "head"
    return text(f"cli.{kind}.{head}", language)
