"""What the Hub, the network and the cache refuse, as one sentence each with the next step.

Nothing a server says is passed on: an answer may repeat what it was sent, and that holds the person's token.
"""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from studio.errors import DiskError, StudioError
from studio.files import disk_errors
from studio.hub.address import Address

LOGIN = "log in with `hf auth login`"
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class HubError(StudioError):
    """The Hub has no such thing, keeps it from this person, cannot be reached, or sent something else."""


class Unreachable(HubError):
    """The Hub does not answer, or not usefully: what the cache holds will do."""


@contextlib.contextmanager
def sentences(address: Address, endpoint: str) -> Iterator[None]:
    """Turn what the Hub's client raises into HubError; other errors pass through."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        FileMetadataError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled,
    )

    # The base of everything its HTTP library raises; which library that is depends on the client's version.
    network = HfHubHTTPError.__bases__[0]
    try:
        yield
    except OfflineModeIsEnabled as error:
        missing = f"HF_HUB_OFFLINE is set, and {address} is not in the cache"
        raise Unreachable(f"{missing}; unset it and fetch once with a network") from error
    except LocalEntryNotFoundError as error:
        # the client's own summary of an answer it could do nothing with
        cause = error.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise _refused(cause, address, endpoint) from error
        raise _silent(cause or error, endpoint) from error
    except FileMetadataError as error:
        raise Unreachable(f"{endpoint} does not answer as the Hub does; check HF_ENDPOINT and the proxy") from error
    except HfHubHTTPError as error:
        raise _refused(error, address, endpoint) from error
    except network as error:
        raise _silent(error, endpoint) from error
    except PermissionError as error:
        if str(error.filename) != constants.HF_TOKEN_PATH:
            raise  # about the cache
        login = f"the login in {constants.HF_TOKEN_PATH} belongs to another user"
        raise HubError(f"{login}; set HF_HOME to a folder of your own") from error


def _silent(error: BaseException, endpoint: str) -> Unreachable:
    kind = type(error).__name__
    return Unreachable(f"the Hub at {endpoint} cannot be reached ({kind}); check the network, then try again")


def _refused(error: Exception, address: Address, endpoint: str) -> HubError:
    from huggingface_hub import get_token
    from huggingface_hub.errors import (
        DisabledRepoError, GatedRepoError, RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError,
    )

    repo, status = address.repo, error.response.status_code
    page = f"{endpoint}/{repo}"
    if isinstance(error, GatedRepoError):
        step = f"ask for access on {page}" + ("" if get_token() else f" and {LOGIN}")
        return HubError(f"{repo} is gated, and its owner has not let you in; {step}")
    if isinstance(error, RepositoryNotFoundError):
        if get_token():
            return HubError(f"the Hub shows your account no repository {repo}; check its name, or ask its owner")
        return HubError(f"the Hub shows no repository {repo}; check its name, or {LOGIN} if it is private")
    if isinstance(error, RevisionNotFoundError):
        return HubError(f"{repo} has no revision {address.revision!r}; choose one from {page}/commits/main")
    if isinstance(error, RemoteEntryNotFoundError):
        lacks = f"{repo} has no file {address.file!r} at {address.revision}"
        return HubError(f"{lacks}; choose one from {page}/tree/main")
    if isinstance(error, DisabledRepoError):
        return HubError(f"the Hub has closed {repo}; choose another model")
    if status == 401:
        return HubError(f"the Hub does not know your login (401); {LOGIN} again, or unset HF_TOKEN")
    if status == 403:
        return HubError(f"your login may not do this with {repo} (403); use a token with that right, or another name")
    if status in (408, 429):
        after = error.response.headers.get("Retry-After", "")
        wait = f"{after} s" if after.isdigit() else "some minutes"
        step = f"try again in {wait}" + ("" if get_token() else f", or {LOGIN}")
        return Unreachable(f"the Hub asks for patience ({status}); {step}")
    if status >= 500:
        return Unreachable(f"the Hub has a fault of its own ({status}); try again in some minutes")
    return HubError(f"the Hub refused {address} ({status}); look at {page}")


@contextlib.contextmanager
def cache_errors(cache: Path) -> Iterator[None]:
    """Turn the system's refusals to read or write the Hub's cache into DiskError."""
    try:
        with disk_errors(cache):
            yield
    except (DiskError, OSError) as error:
        cause = error.__cause__ if isinstance(error, DiskError) else error
        if getattr(cause, "errno", None) in READ_ONLY:
            whose = f"the Hub's cache {cache} belongs to another user or is read-only"
            raise DiskError(f"{whose}; set HF_HOME to a folder of your own") from error
        raise
