"""The stages: one module per rule; its function of that name reads tables, calls the package and writes tables."""
