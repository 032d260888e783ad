"""The nine early-warning signals, in the order of every vector of signals; the annotation guideline defines them."""

SIGNALS = ("safety", "disaster", "health", "outage", "complaint", "fraud", "rumour", "leak", "help")
