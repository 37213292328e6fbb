"""Every error fastsmc raises on purpose, each with the exit code the command line ends with.

Exit codes: 0 fine, 1 internal error, 2 usage, 3 bad input (file, array, value), 4 a check failed, 5 what was asked
cannot be known, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import errno as _errno
from collections.abc import Sequence


class FastsmcError(Exception):
    """Root of all errors of this package; the message says what, where, and what would be right."""

    exit_code = 3


class InputError(FastsmcError):
    """An array, a name or a number that cannot be used as given."""


class RegisterFileError(InputError):
    """A file of registers (migration stream, fingerprint, list) that cannot be read: which byte or line, of what."""


class RecordingError(FastsmcError):
    """A recording of a real kernel that cannot be read."""


class TraceError(FastsmcError):
    """A trace file that cannot be read, with the line where it stopped making sense."""


class ResultFileError(FastsmcError):
    """A saved result that is missing, damaged, or of a schema this version does not know."""


class UnsavedError(ResultFileError):
    """A result that could be saved nowhere.

    Attributes:
        text: what its file would hold.
    """

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text


class MachineError(FastsmcError):
    """A machine on which fastsmc would compute something wrong."""


class CheckError(FastsmcError):
    """A comparison that was asked for came out unequal."""

    exit_code = 4


class UnknownError(FastsmcError):
    """What was asked cannot be known from what was given; the message says what is missing."""

    exit_code = 5


class KvmError(FastsmcError):
    """What KVM would refuse, with the errno it would return.

    Attributes:
        errno: a positive Linux errno (2 ENOENT, 8 ENOEXEC, 14 EFAULT, 16 EBUSY, 17 EEXIST, 22 EINVAL), of the first
            VM that refuses.
        vms, errnos: every VM that refuses, and its errno, as sequences of equal length.
    """

    def __init__(self, message: str, errno: int, *, vms: Sequence[int] = (), errnos: Sequence[int] = ()) -> None:
        super().__init__(f"{message} (KVM: {_errno.errorcode.get(errno, errno)})")
        self.errno = errno
        self.vms = tuple(vms)
        self.errnos = tuple(errnos)


class RegisterError(KvmError):
    """GET_ONE_REG or SET_ONE_REG refused."""


class FilterError(KvmError):
    """A range that KVM_ARM_VM_SMCCC_FILTER refused."""
