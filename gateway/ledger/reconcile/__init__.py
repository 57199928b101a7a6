"""A provider's invoice or usage file held against the ledger, day by day and model by model."""
