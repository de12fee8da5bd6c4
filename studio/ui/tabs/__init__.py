"""The tabs, one a file: each names its place (ORDER), its title (TITLE, a key of the locales) and how to build it."""
