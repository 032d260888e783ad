"""Mentions become an alert; an alert becomes a message that someone has read."""
