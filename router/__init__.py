"""Everything *chosen or called*: backends, prices, strategies, cascade execution, optimisation, replay.

Usable offline. Knows no HTTP server, no database, no caller.
"""
