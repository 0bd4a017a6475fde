"""Diffusion models: schedules, samplers, networks whose weights load from the official files, and their training."""
