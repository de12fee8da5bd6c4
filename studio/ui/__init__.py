"""The studio in a browser; the only package that imports gradio."""
