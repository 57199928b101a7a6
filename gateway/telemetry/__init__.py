"""What can be measured from outside: metrics, traces and logs, with every name in one module."""
