"""Checks the test AWS itself, with one check for each behavior in its README. Exits with 1 if a check fails.

python selfcheck.py [part of a check's name]
"""

from __future__ import annotations

import sys
import time
import traceback

from checks import (  # noqa: F401 - they register their checks
    api,
    cache,
    callers,
    control,
    copies,
    exports,
    functions,
    http_apis,
    http_callers,
    http_exports,
    keys,
    network,
    others,
    responses,
    stages,
    watching,
)
from checks.harness import CHECKS, Aws, Server


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    failed = 0
    began = time.monotonic()
    chosen = [check for check in CHECKS if wanted in check.__name__]
    with Server() as server:
        aws = Aws(server.port)
        for one in chosen:
            aws.reset()
            try:
                one(aws)
                suspicious = [
                    entry
                    for entry in aws.log()
                    if not entry["injected"]
                    and (entry["unimplemented"] or (entry["status"] or 200) >= 500)
                    # Lambda's status where a function cannot use its key.
                    and not str(entry["error_code"]).startswith("KMS")
                ]
                assert not suspicious, suspicious
            except Exception:  # noqa: BLE001 - every failure is reported, and the other checks continue
                failed += 1
                print(f"FAILED {one.__name__}: {one.__doc__}")
                traceback.print_exc(file=sys.stdout)
    print(f"{len(chosen) - failed} of {len(chosen)} checks passed in {time.monotonic() - began:.1f} s")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
