"""Where Close is and who we are there, from the environment (`CLOSE_…`) or a `.env` file."""

import os
import re
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from tasks.close.problems import what_is_wrong

GUARDS = ("CLOSE_KEEP_SMART_VIEW", "CLOSE_ORGANIZATION_ID")
"""Settings that protect leads: misspelt, they would silently do nothing. Other unknown names are ignored."""
NEARLY = 0.9  # similarity; that of CLOSE_ORGANISATION_ID is above, that of CLOSE_ORGANIZATION_NAME below


def data_folder() -> Path:
    """Our folder among the user's data: personal data doesn't belong in a checkout."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "close-lead-cleanup"


def without_password(url: str) -> str:
    """Return *url*, the address of a backup or of all backups. Raises ValueError if it contains a password."""
    if "://" in url and "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError(
            "it must not contain a user name or password, since reports show it; see the driver's own settings"
        )
    return url


class CloseSettings(BaseSettings):
    """Settings of one organisation. Build it when a task runs, never at import.

    CLOSE_ENV_FILE names another file than ``.env``; empty, there is none.
    """

    model_config = SettingsConfigDict(
        env_prefix="CLOSE_",
        env_file_encoding="utf-8-sig",  # a byte order mark would hide the first setting
        env_ignore_empty=True,
        str_strip_whitespace=True,
        extra="ignore",
        frozen=True,
        validate_default=False,  # to check the usual URL, httpx would be imported
        hide_input_in_errors=True,  # the input may be the key
    )

    api_key: SecretStr | None = Field(default=None, description="A Close API key. It has the permissions of its user.")
    access_token: SecretStr | None = Field(default=None, description="An OAuth access token, instead of an API key.")
    api_url: str = Field(
        default="https://api.close.com/api/v1/", description="Where the API is. https, except on this machine."
    )
    organization_id: str | None = Field(
        default=None, description="If set, the key must belong to this organisation (orga_…)."
    )
    backup_url: Annotated[str, AfterValidator(without_password)] = Field(
        default_factory=lambda: str(data_folder() / "backups"),
        description="Folder or fsspec URL for backups of what is deleted; by default a folder in your home directory.",
    )
    backup_folder_lasts: bool = Field(
        default=False,
        description="Says that the folder of CLOSE_BACKUP_URL is on a volume that outlives the container.",
    )
    backup_days: int = Field(default=30, ge=1, le=3650, description="Days for which a backup is kept.")
    timeout: float = Field(
        default=30.0, gt=0, le=300, description="Seconds to wait for each part of an answer; to connect, at most 10."
    )
    retry_delays: Annotated[tuple[Annotated[float, Field(ge=0, le=3600)], ...], NoDecode] = Field(
        default=(60.0, 120.0, 300.0, 600.0),
        description="Seconds after which a step that only reads is retried while Close is unavailable; or `never`.",
    )
    api_key_block: str | None = Field(
        default=None, description="Name of a Prefect Secret block that holds the API key."
    )
    heartbeat_block: str | None = Field(
        default=None,
        description="Name of a Prefect Secret block with a URL to request after each success of a deployment's run.",
    )
    keep_smart_view: str | None = Field(
        default=None,
        description="Name or id of the Smart View of leads that are never deleted, regardless of the parameters.",
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(_env_file=os.environ.get("CLOSE_ENV_FILE", ".env"), **values)
        except UnicodeDecodeError:  # it holds the whole file, with the key
            raise _invalid("the file .env is not UTF-8 text; save it as UTF-8") from None

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the usual sources. Raises ValidationError for a misspelt name of a setting that protects."""
        del settings_cls
        found = (*sources, *named.values())
        for source in found:
            if isinstance(source, EnvSettingsSource):
                _check_names(source)
        return found

    @field_validator("api_key", "access_token", mode="after")
    @classmethod
    def _key_without_strays(cls, secret: SecretStr | None) -> SecretStr | None:
        key = secret.get_secret_value().strip() if secret else ""
        if any(not 33 <= ord(letter) <= 126 or letter in "\"':" for letter in key):
            raise ValueError(
                "it has a space, a quote, a colon or another character no key has; copy it from Close again"
            )
        return SecretStr(key) if key else None

    @field_validator("retry_delays", mode="before")
    @classmethod
    def _separated_by_commas(cls, given: object) -> object:
        if isinstance(given, str):
            return () if given.lower() == "never" else given.split(",")
        return given

    @field_validator("organization_id", "api_key_block", "heartbeat_block", "keep_smart_view", mode="after")
    @classmethod
    def _blank_is_unset(cls, text: str | None) -> str | None:
        return text or None

    @field_validator("api_url", mode="after")
    @classmethod
    def _safe_url(cls, url: str) -> str:
        import httpx

        try:
            parts = httpx.URL(url)  # the parser that the requests use too
        except httpx.InvalidURL:
            parts = httpx.URL()
        if parts.scheme not in ("http", "https") or not parts.host or re.search(r"[\s\\]", url):
            raise ValueError("it is not a URL; the usual one is https://api.close.com/api/v1/")
        if parts.userinfo:
            raise ValueError("it must not contain a user name or password; the key goes into CLOSE_API_KEY")
        if parts.query or parts.fragment:
            raise ValueError("it must not contain ? or #")
        if parts.scheme == "http" and not _is_loopback(parts.host):
            raise ValueError("plain http would show the API key to the network; use https")
        return str(parts).rstrip("/") + "/"

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.api_key and self.access_token:
            raise ValueError("CLOSE_API_KEY and CLOSE_ACCESS_TOKEN are both set; unset one of them")
        return self

    def with_api_key(self, api_key: str) -> Self:
        """Return the same settings with this key. Raises ValidationError as for a key in CLOSE_API_KEY."""
        return self.model_validate({**self.model_dump(), "api_key": SecretStr(api_key), "access_token": None})

    @property
    def on_this_machine(self) -> bool:
        """Whether the API is served on loopback, as the sandbox is."""
        import httpx

        return _is_loopback(httpx.URL(self.api_url).host)


def _check_names(source: EnvSettingsSource) -> None:
    for name in (each.upper() for each in source.env_vars):
        meant = get_close_matches(name, GUARDS, n=1, cutoff=NEARLY)
        if meant and name not in GUARDS:
            raise _invalid(f"{name} is not a setting, so it protects nothing: rename it to {meant[0]}, or remove it")


def _invalid(sentence: str) -> ValidationError:
    problem = InitErrorDetails(type=PydanticCustomError("setting", "{sentence}", {"sentence": sentence}), input=None)
    return ValidationError.from_exception_data("CloseSettings", [problem], hide_input=True)


def settings_problem(error: ValidationError) -> str:
    """Return what is wrong with the settings, one sentence per setting, without their values."""
    sentences: list[str] = []
    for each in error.errors(include_input=False):
        what = what_is_wrong(each["type"], each.get("ctx", {}), each["msg"]).replace(" without quotes", "")
        sentences.append(f"CLOSE_{str(each['loc'][0]).upper()}: {what}." if each["loc"] else f"{what}.")
    return " ".join(sentences)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
