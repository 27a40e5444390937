"""`python -m stress` is `stress`."""

from stress.cli import main

raise SystemExit(main())
