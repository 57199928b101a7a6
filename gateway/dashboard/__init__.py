"""The web dashboard without its HTTP: sessions, numbers in words, the drawing of bars, and the pages."""
