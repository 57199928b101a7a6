"""Choosing a strategy offline: a table of scores and costs, an engine that plays cascades on it, a search, its rules.

Knows arrays. Knows no live call and no file but the strategy's.
"""
