"""The studio's command line: python -m studio COMMAND ..."""

import sys

from studio.commands import main

if __name__ == "__main__":
    sys.exit(main())
