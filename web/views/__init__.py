"""The endpoints: each the chain parse, authenticate, validate, accept or look, and nothing else."""
