"""Sweeps: the plan, the ledger, sampling, Ray Tune, resume, progress, the command line."""
