"""How good strategies are on logged answers that nothing was fitted on, beside methods from the literature."""
