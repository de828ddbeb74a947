"""A folder in storage: on this machine, or at ``s3://…`` and the like where their fsspec driver is installed.

All errors of the storage are raised as `Refused`, except by `Folder.open`, whose callers tell them apart.
"""

import fcntl
import hashlib
import io
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self, cast

import fsspec  # pyright: ignore[reportMissingTypeStubs]
from fsspec.spec import AbstractBufferedFile  # pyright: ignore[reportMissingTypeStubs]

from tasks.runs.outcomes import Refused
from tasks.runs.wording import counted

CHUNK = 1 << 20  # bytes
BLOCK = 8 << 20  # bytes; a bucket's driver holds a few of them, and s3fs's own are 50 MiB. S3 takes 10,000 a file
OWN_FOLDER, OWN_FILE = 0o700, 0o600

IN_USE = "{} is in use by a run, a restore or an erasure: repeat this when that has ended."


class Locked(Refused):
    """Another process holds the lock, or this one no longer does."""


@dataclass(frozen=True)
class Folder:
    """A folder, whether or not it exists. On this machine only its owner may read what is written."""

    storage: Any  # fsspec has no types
    path: str
    url: str

    @classmethod
    def at(cls, url: str) -> Self:
        """The folder at *url*. Raises `Refused` if its storage can't be used here."""
        try:
            fs, path = cast("tuple[Any, str]", fsspec.url_to_fs(url))  # pyright: ignore[reportUnknownMemberType]
        except Exception as error:  # some drivers connect, or check what they were given, when they are made
            raise Refused(
                f"The storage of {url} can't be used here ({type(error).__name__}: {in_one_line(error)})."
            ) from error
        return cls(fs, path, url.rstrip("/"))

    @property
    def fs(self) -> Any:
        """Its storage, with empty caches: drivers keep listings for good, but others write and delete there too."""
        self.storage.invalidate_cache()
        return self.storage

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return "file" in self.storage.protocol

    def has(self, name: str) -> bool:
        """Whether it has this file."""
        with _raising_refused(self.url):
            return bool(self.fs.exists(f"{self.path}/{name}"))

    def files(self) -> list[str]:
        """The names of the files and folders in it."""
        with _raising_refused(self.url):
            try:
                return sorted(str(each).rpartition("/")[2] for each in self.fs.ls(self.path, detail=False))
            except FileNotFoundError:
                return []

    def check_bucket(self) -> None:
        """Raise `Refused` if there is no such bucket: a listing can't tell it from an empty folder."""
        if self.is_local:
            return
        bucket = self.path.strip("/").partition("/")[0]
        with _raising_refused(self.url), suppress(PermissionError):  # the rights may be to the folder only
            self.fs.ls(bucket)

    def written_at(self, name: str) -> datetime:
        """When one of its files was last written (UTC)."""
        with _raising_refused(self.url):
            found = cast("datetime", self.fs.modified(f"{self.path}/{name}"))
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def sha256(self, name: str) -> str:
        """The sha256 of one of its files, in hexadecimal."""
        with self.reading(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def open(self, name: str) -> IO[bytes]:
        """Open one of its files to read. Raises what its driver raises."""
        return cast("IO[bytes]", self.fs.open(f"{self.path}/{name}", "rb", block_size=BLOCK))

    @contextmanager
    def reading(self, name: str) -> Generator[io.BufferedReader]:
        """A file to read. Raises `Refused` where it ends early, also if the block finds that when it decompresses."""
        try:
            with self.open(name) as file:
                yield io.BufferedReader(cast("io.RawIOBase", file), CHUNK)  # gzip reads little, and gcsfs as little
        except Exception as error:  # the driver's, or that of the decompression
            raise Refused(f"{self.url}/{name} can't be read to its end: {in_one_line(error)}") from error

    @contextmanager
    def create(self, name: str) -> Generator["NewFile"]:
        """A file to write, which is on the disk when the block ends."""
        path = f"{self.path}/{name}"
        with _raising_refused(self.url):
            if self.is_local:
                self._make()
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, OWN_FILE))
            opened = cast("IO[bytes]", self.fs.open(path, "wb", block_size=BLOCK))
        file = NewFile(self.url, opened)
        try:
            yield file
            with _raising_refused(self.url):
                if self.is_local:
                    opened.flush()
                    os.fsync(opened.fileno())
                opened.close()
        except BaseException:
            with suppress(Exception):  # a disk that is full may fail once more
                _abandon(opened)
            raise

    def write(self, name: str, text: str) -> None:
        """Write a small file atomically: it is there as a whole, or as it was before."""
        with self.create(f"{name}.new" if self.is_local else name) as file:
            file.write(text.encode())
        if self.is_local:  # in a bucket a file appears when it is complete
            with _raising_refused(self.url), self._handle() as folder:
                Path(f"{self.path}/{name}.new").replace(f"{self.path}/{name}")
                os.fsync(folder)  # so that its name survives a loss of power

    def delete_file(self, name: str) -> None:
        """Delete one of its files, if it is there."""
        with _raising_refused(self.url), suppress(FileNotFoundError):
            self.fs.rm_file(f"{self.path}/{name}")

    def delete(self) -> None:
        """Delete the folder with everything in it."""
        with _raising_refused(self.url), suppress(FileNotFoundError):
            self.fs.rm(self.path, recursive=True)
        with _raising_refused(self.url):  # s3fs doesn't say which of many objects it may not delete
            left = len(self.fs.find(self.path))
        if left:
            raise Refused(f"{counted(left, 'file')} of {self.url} can't be deleted: check the rights to delete there.")

    @contextmanager
    def lock(self, *, exclusive: bool) -> Generator[None]:
        """Hold the folder's lock: shared to write new files, *exclusive* to change or delete what is there.

        Raises `Locked` while another process on this machine holds it. Buckets have no such lock: there this does
        nothing. Only a folder that is to be written into is created.
        """
        if not self.is_local:
            yield
            return
        with ExitStack() as held:
            with _raising_refused(self.url):
                if not exclusive:
                    self._make()
                try:
                    folder = held.enter_context(self._handle())
                    fcntl.flock(folder, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                    gone = not os.path.samestat(os.fstat(folder), Path(self.path).stat())  # deleted since
                except FileNotFoundError:
                    gone = True
                except BlockingIOError:
                    raise Locked(IN_USE.format(self.url)) from None
            if gone:
                raise Locked(f"{self.url} was deleted meanwhile.")
            yield

    @contextmanager
    def _handle(self) -> Generator[int]:
        """The folder itself, opened. The system releases its lock, however the process ends."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            yield handle
        finally:
            os.close(handle)

    def _make(self) -> None:
        """Create it, and the folders above it that don't exist, for the owner alone."""
        path = Path(self.path)
        for each in (*reversed(path.parents), path):
            each.mkdir(OWN_FOLDER, exist_ok=True)


class NewFile:
    """A file that is being written, and the digest of what was."""

    def __init__(self, url: str, file: IO[bytes]) -> None:
        self._url = url
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of *data*."""
        with _raising_refused(self._url):
            self._file.write(data)
        self._digest.update(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """The sha256 of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()


def _abandon(file: Any) -> None:
    """Close a file that mustn't appear. In a bucket closing makes it appear, so there its upload is aborted."""
    if isinstance(file, AbstractBufferedFile):
        file.closed = True  # or it would be closed when it is collected
        file.discard()
    else:
        file.close()


def in_one_line(error: BaseException) -> str:
    """The text of *error*, in one line."""
    return " ".join(str(error).split())


@contextmanager
def _raising_refused(url: str) -> Generator[None]:
    """Raise `Refused` for any error of a block that only uses storage: each driver has its own."""
    try:
        yield
    except Locked:
        raise
    except Exception as error:  # never the caller's own: those blocks hold nothing but calls of the driver
        raise Refused(
            f"The storage at {url} fails ({type(error).__name__}: {in_one_line(error)}): check CLOSE_BACKUP_URL, its "
            "rights and its space."
        ) from error
