"""The trainer's command line: python -m train RECIPE --data DIR|ZIP --run DIR, and resume, export, evaluate."""

import sys

from train.commands import main

if __name__ == "__main__":
    sys.exit(main())
