"""Runs commands together and ends them together.

Usage: python -c SCRIPT FOLDER -- COMMAND [ARGUMENT...] [-- COMMAND [ARGUMENT...]]...

This process must lead its process group. When one command ends, or when the other end of standard input is closed,
which the kernel does whenever the owner dies, all processes of the group are killed and FOLDER is removed.

A line `stop N` on standard input ends the command with that number, counted from 0, and `start N` starts it again.

Only this user can read the files that the commands create.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

folder, commands = sys.argv[1], []
for argument in sys.argv[2:]:
    if argument == "--":
        commands.append([])
    else:
        commands[-1].append(argument)

os.umask(0o077)
over = threading.Event()
children, dismissed = [], []


def start(command):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=watch, args=(child,), daemon=True).start()
    return child


def watch(child):
    child.wait()
    if child not in dismissed:
        over.set()


def obey_owner():
    for line in sys.stdin.buffer:
        order, number = line.split()
        number = int(number)
        if order == b"stop":
            dismissed.append(children[number])
            children[number].terminate()
            children[number].wait()
        else:
            children[number] = start(commands[number])
    over.set()


# Signals to the group also reach this process, which must remove the folder before it exits.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: over.set())

try:
    for command in commands:
        children.append(start(command))
    threading.Thread(target=obey_owner, daemon=True).start()
    over.wait()
finally:
    # No command needs a graceful shutdown, and a killed one writes nothing more to the folder.
    for child in children:
        child.kill()
        child.wait()
    os.killpg(0, signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)
    # Remaining processes that the commands started, and this process itself.
    os.killpg(0, signal.SIGKILL)
