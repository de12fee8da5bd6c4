"""Losses: pure functions on tensors; nothing here logs, steps or keeps state."""
