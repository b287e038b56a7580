"""What a forked child gets is no signal to the server."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, os, signal, threading, time
import uvloop
from penult_server.signals import keep_from_children

def fork_and_end():
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.to_thread(fork_and_end)
    await asyncio.sleep(0.3)
    print("after a child", stop.is_set())
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(stop.wait(), 60)
    print("after its own", stop.is_set())

keep_from_children()
uvloop.run(main())
"""


def test_a_child_that_is_ended_does_not_end_the_server() -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout.splitlines() == ["after a child False", "after its own True"], done.stderr
