"""Explain image classifiers by counterfactuals, and measure how good the explanations are."""
