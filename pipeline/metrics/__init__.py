"""Metrics: one module per question. Each takes numbers of rows, and returns a value per row or a summary."""
