"""Whether a checkpoint is whole: `python progtrain_check.py FILE`. Says in a line why not, and ends with 1 then.

In the user's interpreter, on the CPU. What is no file of torch counts as whole unless it is empty.
"""

import json
import os
import pickle
import sys
import zipfile

_ZIP = b"PK\x03\x04"


def problem(path):
    """Empty where there is none."""
    if not os.path.isfile(path):
        return "there is no such file"
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        begins = file.read(8)
    if not size:
        return "it is empty"
    if begins.startswith(_ZIP):
        return _of_archive(path)
    length = int.from_bytes(begins, "little")
    if 2 <= length <= 100_000_000:
        return _of_safetensors(path, length, size)
    return ""


def _of_archive(path):
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        return f"{error} ({os.path.getsize(path)} bytes)"
    if damaged:
        return f"{damaged} in it is damaged"
    try:
        import torch
    except ImportError:
        return ""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        return ""  # objects of the script's own: nothing of them is executed here, and the bytes are whole
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        return f"{type(error).__name__}: {said}"
    return ""


def _of_safetensors(path, length, size):
    with open(path, "rb") as file:
        file.seek(8)
        head = file.read(length)
    if not head.startswith(b"{"):
        return ""  # another kind of file that begins with such bytes
    try:
        ends = [part["data_offsets"][1] for name, part in json.loads(head).items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError):
        return "its head cannot be read: it is cut off" if len(head) < length else ""
    wanted = 8 + length + max(ends, default=0)
    return f"it has {size} bytes of {wanted}" if size < wanted else ""


if __name__ == "__main__":
    reason = problem(sys.argv[1])
    if reason:
        sys.stdout.write(f"{reason}\n")
        sys.exit(1)
