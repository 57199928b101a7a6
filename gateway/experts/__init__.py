"""What self-hosted models were seen to do, kept for all processes on a database."""
