"""Everything *stored or exposed*: the HTTP surface, keys, cache, ledger, settings, dashboards' pages."""
