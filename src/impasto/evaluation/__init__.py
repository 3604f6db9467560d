"""Measurements of methods: how fast, and how low they bring the loss."""
