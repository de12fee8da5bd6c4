"""Checkpoints that other programs wrote: one foreign format a file."""
