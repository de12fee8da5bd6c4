"""Where something lies on the Hub: REPO[@REVISION][:FILE], or a page's address as copied from a browser."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from studio.errors import SettingError

HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
# as the Hub allows them: letters, digits, - _ . in both parts, each beginning and ending with a letter or a digit
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_SHAPE = "OWNER/NAME, OWNER/NAME@REVISION or OWNER/NAME:FILE"
MAX_REPO = 96


@dataclass(frozen=True)
class Address:
    """A repository of models on the Hub, at a revision, and perhaps one file of it. Valid by construction."""

    repo: str
    revision: str = "main"
    file: str = ""

    def __post_init__(self) -> None:
        odd = "--" in self.repo or ".." in self.repo or len(self.repo) > MAX_REPO
        if odd or not _REPO.fullmatch(self.repo):
            raise SettingError(f"{self.repo[:MAX_REPO]!r} is no repository's name; give {_SHAPE}")
        if not _REVISION.fullmatch(self.revision) or not is_inside(self.revision):
            raise SettingError(f"{self.revision[:40]!r} is no revision; give a branch, a tag or a commit's hash")
        if self.file and not is_inside(self.file):
            raise SettingError(f"{self.file[:40]!r} is no file of a repository; give its path as the Hub shows it")

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises SettingError, saying what an address looks like."""
        text = text.strip()
        if text.startswith(("http://", "https://")):
            return cls._of_page(text)
        repo, colon, file = text.partition(":")
        repo, at, revision = repo.partition("@")
        if (at and not revision) or (colon and not file):
            raise SettingError(f"{text[:80]!r} ends too soon; give {_SHAPE}")
        return cls(repo, revision or "main", file)

    @classmethod
    def _of_page(cls, text: str) -> "Address":
        page = urlsplit(text)
        if page.hostname not in HOSTS:
            raise SettingError(f"{page.hostname or text[:40]!r} is not the Hugging Face Hub; give {_SHAPE}")
        parts = [unquote(part) for part in page.path.split("/") if part]
        if len(parts) > 3 and parts[2] in ("tree", "blob", "resolve"):
            return cls("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        return cls("/".join(parts))

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return self.repo + revision + (f":{self.file}" if self.file else "")


def is_inside(path: str) -> bool:
    """Whether a path as a server gives it stays within its folder, on every system."""
    parts = path.split("/")
    return not any(p in ("", ".", "..") or re.search(r"[\\:\x00-\x1f]", p) for p in parts)
