"""The studio's command line: python -m studio COMMAND ..."""

import sys

from studio.interrupts import keeps_codes

if __name__ == "__main__":
    keeps_codes()
    from studio.commands import main

    sys.exit(main())
