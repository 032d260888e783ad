"""A page becomes a Post: spiders, extraction, politeness and schedule."""
