"""Kinds of tasks that a program can both pose and solve, so that every answer to them can be checked.

Each module knows one kind: how to word it, how to read it back from its words, how to work it out step by step and
how one typically goes wrong at each step. None of them knows a model, a price or HTTP.
"""
