"""Explainers: one module per method, pure functions of a classifier and tensors; `pipeline.methods` names them."""
