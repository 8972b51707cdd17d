"""Runs commands as one and ends them as one.

Usage: python -c SCRIPT FOLDER -- COMMAND [ARGUMENT...] [-- COMMAND [ARGUMENT...]]...

This process must lead its process group. When one command ends, or when the other end of standard input is closed - which
the kernel does however its owner came to die - all processes of the group are ended and FOLDER is removed.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

GRACE = 2.0

folder, commands = sys.argv[1], []
for argument in sys.argv[2:]:
    if argument == "--":
        commands.append([])
    else:
        commands[-1].append(argument)

over = threading.Event()


def watch_owner():
    while os.read(0, 4096):
        pass
    over.set()


def watch(child):
    child.wait()
    over.set()


# The group is asked to end first, and this process with it, which has to remove the folder before it goes.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: over.set())

children = []
try:
    for command in commands:
        children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        threading.Thread(target=watch, args=(children[-1],), daemon=True).start()
    threading.Thread(target=watch_owner, daemon=True).start()
    over.wait()
finally:
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline and any(child.poll() is None for child in children):
        time.sleep(0.01)
    for child in children:
        child.kill()
    shutil.rmtree(folder, ignore_errors=True)
    # What the commands started and left behind, and this process itself.
    os.killpg(0, signal.SIGKILL)
