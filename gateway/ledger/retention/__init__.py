"""What the ledger no longer needs to know goes: first details, then, by whole months, money."""
