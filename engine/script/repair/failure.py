"""Why a training failed, read from the end of its log: known causes without a model."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import PurePath

from progtrain.engine.text import clean_line, shortened

#: cause -> what usually stands behind it
CAUSES: dict[str, str] = {
    "out of memory": "the batch and the model need more memory than there is",
    "loss not finite": "the loss or its gradients became NaN or infinite: the steps are too large for the model",
    "missing path": "a file or folder that the script names does not exist",
    "bad shape": "two tensors that meet have sizes that do not fit together",
    "missing module": "a package that the script imports is not installed in the interpreter that runs it",
    "time limit": "the training did not end within the time that the rules allow",
    "syntax error": "the script is not valid Python",
    "no device": "the script asks for an accelerator that this machine does not offer",
    "data workers": "a process that loads data ended by itself, mostly for lack of shared memory",
    "disk full": "there is no space left to write to",
    "sandbox": "the script writes to a place that the sandbox keeps from it",
    "could not start": "the interpreter or the script could not be started",
    "cancelled": "the training was stopped from outside, not by a fault of its own",
    "signal": "the process was ended from outside: killed by hand, or by the system for lack of memory",
    "exception": "the script raised an error of its own",
    "unknown": "the script ended without saying why",
}


@dataclass(frozen=True)
class Failure:
    """`cause` is one of `CAUSES`, or a word of the caller's for what no log tells."""

    cause: str
    #: the exception with its message, on one line
    error_summary: str
    root_cause_hypothesis: str
    #: where in the user's own code, as far as the trace tells; relative to the script's folder
    file: str | None = None
    line: int | None = None


#: (cause, pattern over "Exception: message"), the first that matches counts
_PATTERNS = [
    (cause, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for cause, pattern in (
        ("disk full", r"No space left on device|disk quota exceeded"),
        (
            "out of memory",
            r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|^MemoryError|can't allocate memory|cannot allocate memory"
            r"|unable to allocate .* for an array|std::bad_alloc|DataLoader worker.*killed by signal: Killed",
        ),
        ("data workers", r"DataLoader worker .*(?:exited unexpectedly|killed by signal)|insufficient shared memory"),
        ("missing module", r"^(?:ModuleNotFoundError|ImportError)\b"),
        ("syntax error", r"^(?:SyntaxError|IndentationError|TabError)\b"),
        (
            "missing path",
            r"^(?:FileNotFoundError|NotADirectoryError)\b|No such file or directory|Parent directory .* does not exist"
            r"|non-existent directory",
        ),
        (
            "no device",
            r"No supported gpu backend found|Accelerator.{0,3} can ?not run on your system|CUDA enabled|No CUDA GPUs"
            r"|Attempting to deserialize object on a CUDA device|Found no NVIDIA driver",
        ),
        (
            "loss not finite",
            r"\breturned nan\b|\bloss\b[^.]{0,60}\b(?:nan|inf|infinite|not finite|non-?finite)\b"
            r"|\b(?:nan|inf|non-?finite)\b[^.]{0,40}\b(?:loss|gradient)|gradients?\b[^.]{0,40}\b(?:nan|non-?finite)\b"
            r"|Input contains NaN|constraint .* but found invalid values:.*nan",
        ),
        (
            "bad shape",
            r"shapes? cannot be multiplied|size mismatch|Expected .{0,40}[- ]dimension|to have \d+ channels"
            r"|must match the size of tensor|Target size .* must be|to match target batch_size|shape '.*' is invalid"
            r"|Sizes of tensors must match|size of tensor a|inconsistent tensor size|stack expects each tensor to be"
            r"|could not be broadcast|Dimension out of range|shapes? .* (?:not aligned|mismatch)",
        ),
    )
]

#: of what a log says, in a summary
_WIDTH = 300


def explain(log_tail: str, exit_code: int | None, ended_by: str | None) -> Failure:
    """`ended_by` is the guard's word on why it ended the script, None when the script ended by itself."""
    lines = _clean_lines(log_tail)
    if ended_by:
        return _ended_by_guard(ended_by, lines)
    trace = _last_trace(lines)
    if trace is None:
        return _without_trace(lines, exit_code)
    exception, message, file, line = trace
    said = f"{exception}: {message}"
    cause = next((name for name, pattern in _PATTERNS if pattern.search(said)), "exception")
    if cause == "exception" and exception == "KeyboardInterrupt":
        cause = "signal"
    summary = shortened(said if message else exception, _WIDTH)
    return Failure(cause, summary, _hypothesis(cause, message, line), file, line)


def _ended_by_guard(ended_by: str, lines: list[str]) -> Failure:
    cause = ended_by if ended_by in CAUSES else "signal"
    if cause == "time limit":
        summary = f"still running at the time limit; its last words: {_last_words(lines)}"
        hypothesis = f"{CAUSES[cause]}: raise loop_config.step_timeout_minutes, or train fewer epochs"
        return Failure(cause, summary, hypothesis)
    summary = _last_words(lines) if cause == "could not start" else f"ended by the engine: {ended_by}"
    return Failure(cause, summary, CAUSES[cause])


def _without_trace(lines: list[str], exit_code: int | None) -> Failure:
    for line in reversed(lines[-50:]):
        if cause := next((name for name, pattern in _PATTERNS[:3] if pattern.search(line)), None):
            return Failure(cause, shortened(line, _WIDTH), CAUSES[cause])
    said = f"its last words: {_last_words(lines)}"
    if (number := _signal(exit_code)) is not None:
        return Failure("signal", f"ended by signal {number.name}; {said}", _behind(number))
    if exit_code == 0:
        return Failure("unknown", f"ended without an error; {said}", CAUSES["unknown"])
    shown = "an unknown exit code" if exit_code is None else f"exit code {exit_code}"
    return Failure("unknown", f"ended with {shown} and no traceback; {said}", CAUSES["unknown"])


def _signal(exit_code: int | None) -> signal.Signals | None:
    """Negative from a child process, 128 and more from a shell."""
    if exit_code is None or 0 <= exit_code <= 128:
        return None
    number = -exit_code if exit_code < 0 else exit_code - 128
    return signal.Signals(number) if number in set(signal.Signals) else None


def killed(exit_code: int | None, ended_by: str | None) -> str:
    """By what a script was ended that neither ended by itself nor by its guard, in words; empty for any other."""
    number = None if ended_by else _signal(exit_code)
    return f"ended by signal {number.name}: {_behind(number)}" if number else ""


def _behind(number: signal.Signals) -> str:
    if number == signal.SIGKILL:
        return "killed at once: most often by the system for lack of memory (`dmesg` would say so), else by hand"
    if number in {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE}:
        return (
            "compiled code crashed: a fault of a package or of its match with this machine, not of the script's logic"
        )
    return CAUSES["signal"]


_ADVICE_BY_MODULE = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
    "pytorch_lightning": "pytorch-lightning",
    "bs4": "beautifulsoup4",
    "dotenv": "python-dotenv",
}


def _hypothesis(cause: str, message: str, line: int | None) -> str:
    text = CAUSES[cause]
    if cause == "missing module":
        missing = re.search(r"No module named '([\w.]+)'", message)
        if missing is None:
            return "the installed version of that package does not offer what the script imports from it"
        package = missing[1].partition(".")[0]
        text += f"; install it there: python -m pip install {_ADVICE_BY_MODULE.get(package, package)}"
        return text + " (or, if it is a file of yours, put it beside the script)"
    if cause == "missing path" and (path := missing_path(message)):
        return f"{text}: {path}"
    if cause == "syntax error" and line:
        return f"{text}: look at line {line} and the one before it"
    return text


def missing_path(message: str) -> str | None:
    """The path that an error complains about."""
    found = re.search(r"(?:directory|exist\w*|path)\b[^'\"]*['\"]([^'\"]+)['\"]", message) or re.search(
        r"Parent directory (\S+) does not exist", message
    )
    return found[1] if found else None


# --- reading the log --------------------------------------------------------------------------------------------

_FRAME = re.compile(r'^\s*(?:\[rank\d+\]: ?)?\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.*))?$')
_EXCEPTION = re.compile(r"^(?:\[rank\d+\]: ?)?(?P<name>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_FOREIGN = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python\d|^<|[/\\]progtrain_\w+\.py$")


def _clean_lines(text: str) -> list[str]:
    """Without colours, and of lines that a progress bar wrote over only the last state."""
    return [clean_line(line.rsplit("\r", 1)[-1]).rstrip() for line in text.replace("\r\n", "\n").split("\n")]


def _last_words(lines: list[str]) -> str:
    return next((shortened(line, _WIDTH) for line in reversed(lines) if line.strip()), "none")


def _last_trace(lines: list[str]) -> tuple[str, str, str | None, int | None] | None:
    """Exception, message, and the place in the user's own code, from the last traceback of the log.

    A syntax error of the script itself has frames but no heading.
    """
    # frames that no exception follows belong to a message: torch.compile shows the user's code in its own
    last_frame = end = match = None
    for number in (i for i in range(len(lines) - 1, -1, -1) if _FRAME.match(lines[i])):
        end = number + 1
        while end < len(lines) and (lines[end].startswith(" ") or not lines[end]):
            end += 1
        match = _EXCEPTION.match(lines[end]) if end < len(lines) else None
        if match:
            last_frame = number
            break
    if last_frame is None or match is None or end is None:
        return None
    start = last_frame
    while start > 0 and (_FRAME.match(lines[start - 1]) or lines[start - 1].startswith(" ")):
        start -= 1
    message = " ".join([match["message"] or "", *_rest_of_message(lines[end + 1 :])]).strip()
    place = _own_frame([m for text in lines[start:] if (m := _FRAME.match(text))])
    return match["name"].rpartition(".")[2], message, *place


def _rest_of_message(lines: list[str]) -> list[str]:
    """Messages of several lines: at most a few more."""
    rest: list[str] = []
    for line in lines[:6]:
        if not line.strip() or _FRAME.match(line) or line.startswith(("Traceback", "Exception ignored")):
            break
        rest.append(line.strip())
    return rest


def _own_frame(frames: list[re.Match[str]]) -> tuple[str | None, int | None]:
    """The innermost frame in the user's own code."""
    own = [frame for frame in frames if not _FOREIGN.search(frame["file"])]
    if not own:
        return None, None
    home, last = PurePath(own[0]["file"]).parent, PurePath(own[-1]["file"])
    return (last.relative_to(home).as_posix() if last.is_relative_to(home) else str(last)), int(own[-1]["line"])
