"""A folder in storage: of this machine, or ``s3://…`` and the like where their fsspec driver is installed.

Whatever storage raises comes out of here as `Refused`, but for `Folder.open`, whose errors its caller tells apart.
"""

import fcntl
import hashlib
import io
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self, cast

import fsspec  # pyright: ignore[reportMissingTypeStubs]
from fsspec.spec import AbstractBufferedFile  # pyright: ignore[reportMissingTypeStubs]

from tasks.runs.outcomes import Refused

CHUNK = 1 << 20  # bytes
BLOCK = 8 << 20  # bytes; a bucket's driver holds a few of them, and s3fs's own are 50 MiB. S3 takes 10,000 a file
OWN_FOLDER, OWN_FILE = 0o700, 0o600


@dataclass(frozen=True)
class Folder:
    """A folder, whether or not it is there. On this machine only its owner may read what is written."""

    storage: Any  # fsspec has no types
    path: str
    url: str

    @classmethod
    def at(cls, url: str) -> Self:
        """The folder at *url*. Raises `Refused` for storage that can't be used here."""
        try:
            fs, path = cast("tuple[Any, str]", fsspec.url_to_fs(url))  # pyright: ignore[reportUnknownMemberType]
        except Exception as error:  # some drivers connect, or check what they were given, when they are made
            raise Refused(f"The storage of {url} can't be used here ({_what(error)}).") from error
        return cls(fs, path, url.rstrip("/"))

    @property
    def fs(self) -> Any:
        """Its storage, remembering nothing: drivers keep listings for good, but others write and delete there too."""
        self.storage.invalidate_cache()
        return self.storage

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return "file" in self.storage.protocol

    def has(self, name: str) -> bool:
        """Whether this file is in it."""
        with _usable(self.url):
            return bool(self.fs.exists(f"{self.path}/{name}"))

    def files(self) -> list[str]:
        """The names of what lies in the folder."""
        with _usable(self.url):
            try:
                return sorted(str(each).rpartition("/")[2] for each in self.fs.ls(self.path, detail=False))
            except FileNotFoundError:
                return []

    def check_bucket(self) -> None:
        """Raise `Refused` where there is no such bucket: to a listing it is the same as an empty folder."""
        if self.is_local:
            return
        bucket = self.path.strip("/").partition("/")[0]
        with _usable(self.url), suppress(PermissionError):  # the rights may reach no further than the folder
            self.fs.ls(bucket)

    def written_at(self, name: str) -> datetime:
        """When one of the folder's files was last written (UTC)."""
        with _usable(self.url):
            found = cast("datetime", self.fs.modified(f"{self.path}/{name}"))
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def sha256(self, name: str) -> str:
        """Of one of the folder's files, as it lies there."""
        digest = hashlib.sha256()
        with self.reading(name) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    @contextmanager
    def open(self, name: str, mode: str = "rb") -> Generator[IO[bytes]]:
        """One of the folder's files. Raises what its driver raises."""
        with self._opened(name, mode) as opened:
            yield opened

    @contextmanager
    def reading(self, name: str) -> Generator[IO[bytes]]:
        """A file to read. Raises `Refused` where it ends early, also for what the block unpacks of it."""
        try:
            with self.open(name) as file:
                yield io.BufferedReader(cast("io.RawIOBase", file), CHUNK)  # gzip reads little, and gcsfs as little
        except Exception as error:
            raise Refused(f"{self.url}/{name} can't be read to its end: {said(error)}") from error

    @contextmanager
    def create(self, name: str) -> Generator["NewFile"]:
        """A file to write, which is on the disk when the block ends."""
        with _usable(self.url):
            opened = self._opened(name, "wb")
        file = NewFile(self.url, opened)
        try:
            yield file
            with _usable(self.url):
                if self.is_local:
                    opened.flush()
                    os.fsync(opened.fileno())
                opened.close()
        except BaseException:
            with suppress(Exception):  # a full disk may be met once more, and isn't news
                _abandon(opened)
            raise

    def put(self, name: str, text: str) -> None:
        """Write a small file, so that it is there as a whole or as it was before."""
        if not self.is_local:  # where a file appears when it has been written
            with self.create(name) as file:
                file.write(text.encode())
            return
        with self.create(f"{name}.new") as file:
            file.write(text.encode())
        with _usable(self.url):
            Path(f"{self.path}/{name}.new").replace(f"{self.path}/{name}")
            with self._handle() as folder:  # for its name to outlive a loss of power
                os.fsync(folder)

    def drop(self, name: str) -> None:
        """Delete one of the folder's files, if it is there."""
        with _usable(self.url), suppress(FileNotFoundError):
            self.fs.rm_file(f"{self.path}/{name}")

    def delete(self) -> None:
        """Delete the folder with all that is in it."""
        with _usable(self.url), suppress(FileNotFoundError):
            self.fs.rm(self.path, recursive=True)
        with _usable(self.url):  # s3fs doesn't say which of many objects it may not delete
            left = len(self.fs.find(self.path))
        if left:
            raise Refused(f"{left} files of {self.url} can't be deleted: check the rights to delete there.")

    @contextmanager
    def held(self, *, alone: bool) -> Generator[None]:
        """A block in which nobody else on this machine changes what is there; *alone*, nor writes something new.

        Raises `Refused` while somebody does. Other storage knows no locks: there it keeps nobody out.
        """
        if not self.is_local:
            yield
            return
        with _usable(self.url):
            self._make()
        with self._handle() as folder:
            try:
                fcntl.flock(folder, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(f"Somebody else is writing in {self.url}: try again when that is over.") from None
            yield

    @contextmanager
    def _handle(self) -> Generator[int]:
        """The folder itself, opened. Its locks go with it, however the process ends."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            yield handle
        finally:
            os.close(handle)

    def _make(self) -> None:
        """Make it, and the folders above it that aren't there, each for the owner alone."""
        path = Path(self.path)
        for each in (*reversed(path.parents), path):
            each.mkdir(OWN_FOLDER, exist_ok=True)

    def _opened(self, name: str, mode: str) -> IO[bytes]:
        file = f"{self.path}/{name}"
        if "r" not in mode and self.is_local:
            self._make()
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, OWN_FILE))
        return cast("IO[bytes]", self.fs.open(file, mode, block_size=BLOCK))


class NewFile:
    """A file that is being written, and the digest of what was. What its storage raises is `Refused`."""

    def __init__(self, url: str, file: IO[bytes]) -> None:
        self._url = url
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of *data*."""
        with _usable(self._url):
            self._file.write(data)
        self._digest.update(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()


def _abandon(file: Any) -> None:
    """Close a file that isn't to be. In a bucket a file appears when it is closed, so there its upload is given up."""
    if isinstance(file, AbstractBufferedFile):
        file.closed = True  # or it would be closed when it is collected
        file.discard()
    else:
        file.close()


def said(error: BaseException) -> str:
    """What *error* says, in one line."""
    return " ".join(str(error).split())


def _what(error: BaseException) -> str:
    """What kind of error it is, and what it says."""
    return f"{type(error).__name__}: {said(error)}"


@contextmanager
def _usable(url: str) -> Generator[None]:
    """A block that only touches storage. Each driver raises what the libraries below it raise."""
    try:
        yield
    except Exception as error:
        raise Refused(
            f"The storage at {url} fails ({_what(error)}): check CLOSE_BACKUP_URL, its rights and its space."
        ) from error
