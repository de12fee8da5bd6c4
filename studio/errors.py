"""What can go wrong that the person at the keyboard can mend.

    StudioError              the base: one plain sentence with the value, the limit and the next step
    ├── SettingError         a setting is of the wrong kind or outside its range
    ├── UnknownName          a name nobody registered; the message lists the known ones
    ├── ImageError           not a picture, or one too large to open safely
    ├── VideoError           a film that cannot be read or written
    ├── CheckpointError      weights that are missing, corrupt, foreign or do not fit the model
    ├── CapabilityError      the model cannot do what the tool asks of it
    ├── DeviceError          no such device, or not enough memory on it
    ├── DataError            a folder or zip of pictures that cannot be trained on
    ├── RunError             a run folder that is missing, taken, damaged or of another version
    ├── DiskError            a file could not be written: the disk is full, the folder read-only or gone
    ├── HubError             what the Hugging Face Hub does not give, or gave wrongly (studio/hub/failures.py)
    └── ServerError          the page cannot be served: port in use, unsafe host

The page shows the sentence (`gr.Error`), the command line prints it and exits with 2. Anything else that is raised is
a bug and keeps its traceback.
"""

from collections.abc import Callable


class StudioError(Exception):
    """The base of every error that the user can mend; `str(error)` is shown to them as it is."""


class SettingError(StudioError):
    pass


class UnknownName(StudioError):
    pass


class ImageError(StudioError):
    pass


class VideoError(StudioError):
    pass


class CheckpointError(StudioError):
    pass


class CapabilityError(StudioError):
    pass


class DeviceError(StudioError):
    pass


class DataError(StudioError):
    pass


class RunError(StudioError):
    pass


class DiskError(StudioError):
    pass


class ServerError(StudioError):
    pass


class Cancelled(Exception):
    """What was asked to stop has stopped, and there is nothing to keep. Not an error: nobody need be told."""


def stop_if(cancelled: Callable[[], bool]) -> None:
    """Raises Cancelled once `cancelled` says so."""
    if cancelled():
        raise Cancelled
