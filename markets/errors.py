"""The one exception that means "the user can mend this".

Whatever a user did wrong (a bad row, an unknown key, an impossible value) is raised as `UserError` with one line that
says what is wrong and what would be right. The command line prints that line and exits with 2; everything else that
is raised is a fault of ours and keeps its traceback.
"""

__all__ = ["UserError"]


class UserError(ValueError):
    """A mistake of the user's: one line that names the file, row or key and what would be right."""
