"""Pools of models that somebody hosts for themselves: what they can do, beyond what they say."""
