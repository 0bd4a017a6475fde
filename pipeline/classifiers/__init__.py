"""Classifiers, oracles and readers: networks of any origin behind one contract (wrap.py), loaded by entry (load.py).

This file imports nothing, so that naming a classifier (entry.py, identity.py) needs no torch.
"""
