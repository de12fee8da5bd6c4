"""Small browser components of our own, each a Python file with the script it needs."""
