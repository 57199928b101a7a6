"""Everything *fitted*: features, quality models, calibration, evaluation, artifacts.

Knows answers and labels. Knows no HTTP, no database, no provider and no price.
"""
