"""Picture files: opened as a stranger's, kept at their full depth, and written back with all that they carry."""
