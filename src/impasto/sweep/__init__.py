"""Searching hyperparameters: a space, trials that are never lost, and what they reached."""
