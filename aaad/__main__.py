"""`python -m aaad`: the same as the command `aaad`.

The supervisor starts its roles this way. They do not load the command line: a killed role must be back at once.
"""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["role"]:
        from aaad.daemon.roles import main as run_role_command

        sys.exit(run_role_command(sys.argv[2:]))
    from aaad.cli.main import main

    main()
