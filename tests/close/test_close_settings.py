"""Settings come from the environment or a .env file; each mistake is one sentence, without the secret."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.close.settings import CloseSettings, settings_problem


def problem(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        CloseSettings()
    for name, value in environment.items():
        assert name not in ("CLOSE_API_KEY", "CLOSE_ACCESS_TOKEN") or value.strip() not in str(caught.value)
    return settings_problem(caught.value)


def test_the_environment_says_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSE_API_KEY", "api_a.b")
    monkeypatch.setenv("CLOSE_ORGANIZATION_ID", "orga_1")

    settings = CloseSettings()

    assert settings.api_key
    assert settings.api_key.get_secret_value() == "api_a.b"
    assert settings.organization_id == "orga_1"
    assert settings.api_url == "https://api.close.com/api/v1/"


def test_a_dotenv_file_does_too_and_may_hold_other_things(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CLOSE_API_KEY=api_a.b\nCLOSE_SOMETHING_ELSE=1\nPREFECT_API_URL=x\n")

    assert CloseSettings().api_key


def test_a_dotenv_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\ufeffCLOSE_ORGANIZATION_ID=orga_1\n", encoding="utf-8")

    assert CloseSettings().organization_id == "orga_1"


def test_an_empty_value_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSE_API_KEY", "api_a.b")
    monkeypatch.setenv("CLOSE_ACCESS_TOKEN", "")
    monkeypatch.setenv("CLOSE_TIMEOUT", "")
    monkeypatch.setenv("CLOSE_KEEP_SMART_VIEW", "  ")

    settings = CloseSettings()

    assert (settings.access_token, settings.timeout, settings.keep_smart_view) == (None, 30, None)


def test_a_key_pasted_with_spaces_around_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSE_API_KEY", "  api_a.b \r\n")
    monkeypatch.setenv("CLOSE_ACCESS_TOKEN", "   ")

    settings = CloseSettings()

    assert settings.api_key
    assert settings.api_key.get_secret_value() == "api_a.b"
    assert settings.access_token is None


@pytest.mark.parametrize("key", ['"api_a.b"', "api_a b", "api_a:b", "api_ä.b", "api_a\nb"])
def test_a_key_with_strays_inside_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    assert problem(monkeypatch, CLOSE_API_KEY=key).startswith("CLOSE_API_KEY: it has a space, a quote, a colon")


def test_a_key_from_elsewhere_is_held_to_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSE_ORGANIZATION_ID", "orga_1")

    settings = CloseSettings().with_api_key(" api_a.b\n")

    assert settings.api_key
    assert settings.api_key.get_secret_value() == "api_a.b"
    assert settings.organization_id == "orga_1"
    with pytest.raises(ValidationError) as caught:
        settings.with_api_key("api_a b")
    assert settings_problem(caught.value).startswith("CLOSE_API_KEY: ")
    assert "api_a" not in str(caught.value)


def test_a_key_and_a_token_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    said = problem(monkeypatch, CLOSE_API_KEY="api_a.b", CLOSE_ACCESS_TOKEN="token")

    assert said == "CLOSE_API_KEY and CLOSE_ACCESS_TOKEN are both set; unset one of them."


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://api.close.com/api/v1", "https://api.close.com/api/v1/"),
        (" https://api.close.com/api/v1// ", "https://api.close.com/api/v1/"),
        ("http://127.0.0.1:8765/api/v1/", "http://127.0.0.1:8765/api/v1/"),
        ("http://127.8.9.1/api/v1/", "http://127.8.9.1/api/v1/"),
        ("http://localhost:8765/api/v1", "http://localhost:8765/api/v1/"),
        ("http://LOCALHOST/api/v1", "http://localhost/api/v1/"),
        ("http://[::1]:8765/api/v1/", "http://[::1]:8765/api/v1/"),
    ],
)
def test_the_api_url_ends_in_one_slash(monkeypatch: pytest.MonkeyPatch, url: str, read: str) -> None:
    monkeypatch.setenv("CLOSE_API_URL", url)

    settings = CloseSettings()

    assert settings.api_url == read
    assert settings.on_this_machine == read.startswith("http://")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://api.close.com/api/v1/", "plain http would show the API key"),
        ("http://localhost.example.com/api/v1/", "plain http"),
        ("http://127.0.0.1.example.com/", "plain http"),
        ("http://128.0.0.1/", "plain http"),
        ("http://0.0.0.0/", "plain http"),
        ("https://user:secret@api.close.com/api/v1/", "must not contain a user name"),
        ("http://localhost@example.com/", "must not contain a user name"),
        ("https://api.close.com/api/v1/?x=1", r"must not contain \? or #"),
        ("ftp://api.close.com/", "is not a URL"),
        ("api.close.com/api/v1", "is not a URL"),
        ("https:///api/v1/", "is not a URL"),
        ("https://api.close.com:port/", "is not a URL"),
        ("https://api close com/", "is not a URL"),
        ("http://127.0.0.1\\@example.com/", "is not a URL"),
    ],
)
def test_a_url_that_would_leak_the_key_or_go_nowhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    said = problem(monkeypatch, CLOSE_API_URL=url)

    assert said.startswith("CLOSE_API_URL: ")
    assert why.replace("\\", "") in said
    assert "secret" not in said


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_is_a_positive_number_of_seconds(monkeypatch: pytest.MonkeyPatch, timeout: str) -> None:
    assert problem(monkeypatch, CLOSE_TIMEOUT=timeout).startswith("CLOSE_TIMEOUT: write ")


def test_two_mistakes_are_two_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    said = problem(monkeypatch, CLOSE_TIMEOUT="0", CLOSE_API_URL="ftp://x/")

    assert "CLOSE_TIMEOUT: " in said
    assert "CLOSE_API_URL: " in said


def test_backups_go_outside_of_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    assert CloseSettings().backup_url == str(tmp_path / "close-lead-cleanup" / "backups")


def test_the_key_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSE_API_KEY", "api_a.b")

    settings = CloseSettings()

    assert "api_a.b" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in CloseSettings.model_fields.values())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CLOSE_KEEP_SMARTVIEW", "CLOSE_KEEP_SMART_VIEW"),
        ("CLOSE_KEEP_SMART_VEIW", "CLOSE_KEEP_SMART_VIEW"),
        ("close_keep_smartview", "CLOSE_KEEP_SMART_VIEW"),
        ("CLOSE_ORGANISATION_ID", "CLOSE_ORGANIZATION_ID"),
    ],
)
def test_a_misspelt_guard_is_refused_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, meant: str
) -> None:
    """Silently ignored, it would protect nobody while everybody counts on it."""
    sentence = f"{name.upper()} is not a setting, so it protects nothing: rename it to {meant}, or remove it."

    assert problem(monkeypatch, **{name: "x"}) == sentence
    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"CLOSE_API_KEY=api_a.b\n{name}=x\n")
    assert problem(monkeypatch) == sentence


def test_names_of_others_are_no_business_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSE_ORGANIZATION_NAME", "x")
    monkeypatch.setenv("CLOSE_API_KEY_2", "x")

    assert CloseSettings().organization_id is None


def test_a_dotenv_file_that_is_not_utf_8_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes("CLOSE_API_KEY=api_a.b\nCLOSE_KEEP_SMART_VIEW=Schl\u00fcssel\n".encode("latin-1"))

    assert problem(monkeypatch) == "the file .env is not UTF-8 text; save it as UTF-8."
