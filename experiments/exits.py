"""What the program answers with when it ends, for the command, the jobs of a sweep and the processes of a run alike."""

__all__ = ["CLOSED", "FAULT", "INTERRUPTED", "MISTAKE", "REFUTED", "STOPPED"]

FAULT = 1
"""Something went wrong that is ours to mend; its traceback is shown."""

REFUTED = 1
"""A study came out otherwise than it claims (`arena edge`, `arena founders`); its table says how."""

MISTAKE = 2
"""Something that the user can mend, told in lines."""

STOPPED = 3
"""The risk guard of `arena paper` stopped it; its last line says why."""

INTERRUPTED = 130
"""The user asked to stop; as a shell has it of SIGINT."""

CLOSED = 141
"""The reader of the output went away; as a shell has it of SIGPIPE."""
