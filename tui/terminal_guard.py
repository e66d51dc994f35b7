"""A parent that waits, so that a crash leaves the terminal as it was.

Textual puts back what it changed, whatever exception ends it. What kills at once (a crash in native code, `kill -9`,
the kernel when memory is short) leaves alternate screen, mouse reporting and raw mode to the shell. So the process
that the shell has started forks before anything heavy is imported, and does nothing but wait for its child.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import threading
from collections.abc import Callable
from typing import Any, NoReturn

# by number: Textual puts objects of its own into `sys`
_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
#: Ends a sequence that was cut off, then undoes in Textual's own order all that its driver switches on.
RESTORE = (
    b"\x18\x1b\\"
    b"\x1b[?2026l"  # synchronised output
    b"\x1b[?2004l"  # bracketed paste
    b"\x1b[?7h"  # line wrap
    b"\x1b[?2048l"  # reports of resizing
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"  # mouse
    b"\x1b[<u"  # keyboard protocol, before the alternate screen is left
    b"\x1b[0m\x1b[?1049l\x1b[?25h\x1b[?1004l"
)


def stand_guard(told: str) -> Callable[[], None]:
    """Returns in a child, which is to draw. The parent ends as the child does; `told` is said where a signal ended it.

    Call it while there is one thread, with a terminal on standard input and output; and what it returns once no more
    is forked: from then on the child ends when its parent is killed, or the terminal is no more.
    """
    before = termios.tcgetattr(_INPUT)
    alive, held = os.pipe()
    child = os.fork()
    if child:
        os.close(alive)
        _wait(child, before, told)
    os.close(held)
    return threading.Thread(target=_end_with_parent, args=(alive, before), name="guarded", daemon=True).start


def _wait(child: int, before: list[Any], told: str) -> NoReturn:
    # keys send these to the child as well
    for keyed in (signal.SIGINT, signal.SIGQUIT, signal.SIGTTOU):
        signal.signal(keyed, signal.SIG_IGN)
    for sent in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sent, lambda number, _: os.kill(child, number))
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            break
        # the shell sees this process only: it stops too, and both go on with `fg`
        os.kill(os.getpid(), signal.SIGSTOP)
        os.kill(child, signal.SIGCONT)
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    number = os.WTERMSIG(status)
    _restore(before)
    with contextlib.suppress(OSError):
        os.write(_ERRORS, f"progtrain-tui: ended by {signal.Signals(number).name}. {told}\n".encode())
    os._exit(128 + number)


def _end_with_parent(alive: int, before: list[Any]) -> None:
    """The shell has its terminal back when the parent is killed: nobody may draw there any more.

    A terminal that has gone does not always say so by a signal; Textual would read its end for ever.
    """
    ends = select.poll()
    ends.register(alive, select.POLLIN)
    ends.register(_INPUT, 0)  # only that it hangs up
    while True:
        for source, event in ends.poll():
            if source == alive:
                _restore(before)
            if source == alive or event & select.POLLHUP:
                os._exit(1)
            # where terminals cannot be polled
            ends.unregister(source)


def _restore(before: list[Any]) -> None:
    # a line that is dead takes nothing
    with contextlib.suppress(OSError, termios.error):
        os.write(_OUTPUT, RESTORE)
        # with what lies unread: reports of the mouse are no commands
        termios.tcsetattr(_INPUT, termios.TCSAFLUSH, before)
