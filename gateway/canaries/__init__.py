"""Canaries that were set while the gateway serves, the same for all processes on a database."""
