"""Labels for logs by a model that judges, every call of it paid for once and written down."""
