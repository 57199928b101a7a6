"""Hourly sums of the ledger, kept up to date by what its hash chain says has changed."""
