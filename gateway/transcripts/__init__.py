"""What was asked and what every model said, where keeping it is switched on: to look at, and to train from."""
