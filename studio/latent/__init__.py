"""Pure functions on latents and a generator."""
