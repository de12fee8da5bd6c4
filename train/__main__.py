"""The trainer's command line: python -m train RECIPE --data DIR|ZIP --run DIR, and resume, export, evaluate."""

import sys

from studio.interrupts import keeps_codes

if __name__ == "__main__":
    keeps_codes()
    from train.commands import main

    sys.exit(main())
