"""What the environment says about certificates and proxies is used, or refused in one sentence before any request."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from scripted_close import KEY, Answer, Clock, ScriptedClose
from support.untrusted import untrusted

from tasks.close.client import CloseClient
from tasks.close.errors import CloseUnavailable, WrongEnvironment
from tasks.close.network import certificates, environment_problem
from tasks.close.settings import CloseSettings

CLOSE = "https://api.close.com/api/v1/"
NOT_AN_ADDRESS = "it is not the address of a proxy; write http://HOST:PORT"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No certificates and no proxies are named but by the test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    certificates.cache_clear()
    yield
    certificates.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1080", "ALL_PROXY: a SOCKS proxy needs the Python package socksio"),
        ("all_proxy", "socks5h://127.0.0.1:1080", "all_proxy: a SOCKS proxy needs the Python package socksio"),
        ("HTTPS_PROXY", "socks4://127.0.0.1", "HTTPS_PROXY: proxies of the scheme socks4:// can't be used"),
        ("HTTPS_PROXY", "ftp://proxy", "HTTPS_PROXY: proxies of the scheme ftp:// can't be used"),
        ("https_proxy", "://proxy", f"https_proxy: {NOT_AN_ADDRESS}"),
        ("HTTPS_PROXY", "http://", f"HTTPS_PROXY: {NOT_AN_ADDRESS}"),
        ("HTTPS_PROXY", "http://ann:secret@proxy:port", f"HTTPS_PROXY: {NOT_AN_ADDRESS}"),
        ("HTTP_PROXY", "http://proxy:99999", f"HTTP_PROXY: {NOT_AN_ADDRESS}"),
        ("HTTP_PROXY", "http://[::1", f"HTTP_PROXY: {NOT_AN_ADDRESS}"),
        ("HTTP_PROXY", f"http://{'long' * 20}.example", f"HTTP_PROXY: {NOT_AN_ADDRESS}"),
        ("NO_PROXY", "localhost,[::1]", "NO_PROXY: one of its entries is not a host"),
        ("no_proxy", "10.0.0.1:port", "no_proxy: one of its entries is not a host"),
        ("SSL_CERT_FILE", "/nowhere/pem", "SSL_CERT_FILE: /nowhere/pem can't be used (No such file or directory)"),
        ("SSL_CERT_FILE", __file__, f"SSL_CERT_FILE: {__file__} can't be used (it holds no certificate)"),
    ],
)
def test_what_can_not_be_used_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(WrongEnvironment) as caught:
        CloseClient(CloseSettings(api_url=CLOSE, api_key=SecretStr(KEY)))

    said = str(caught.value)
    assert said.startswith(sentence)
    assert "secret" not in said
    assert not caught.value.transient


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "http://ann:secret@proxy.example:3128"),
        ("HTTPS_PROXY", "proxy.example:3128"),
        ("ALL_PROXY", "https://[::1]:3128"),
        ("NO_PROXY", "localhost, 127.0.0.1,::1,.example.com,10.0.0.0/8,https://close.com"),
        ("HTTPS_PROXY", ""),
    ],
)
def test_what_can_be_used_is(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)

    assert environment_problem() is None


def test_a_proxy_that_nobody_asks_may_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://")
    monkeypatch.setenv("NO_PROXY", "example.com, *")

    assert environment_problem() is None


def test_this_machine_is_reached_without_a_proxy_whatever_it_is(
    server: ScriptedClose, connect: Callable[..., CloseClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://")
    server.will_answer(Answer({"id": "user_1"}))

    assert connect().me().id == "user_1"


def test_a_certificate_that_is_not_trusted_names_the_setting_that_makes_it_so(
    connect: Callable[..., CloseClient], clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a company's proxy reads what goes through it, with a certificate of its own."""
    with untrusted(tmp_path) as there:
        with pytest.raises(
            CloseUnavailable, match=r"isn't trusted here \(self-signed certificate\).*set SSL_CERT_FILE"
        ):
            connect(api_url=f"{there.address}/api/v1/").me()

        monkeypatch.setenv("SSL_CERT_FILE", str(there.certificate))
        certificates.cache_clear()

        assert connect(api_url=f"{there.address}/api/v1/").me().id == "user_1"


def test_so_does_a_download(connect: Callable[..., CloseClient], server: ScriptedClose, tmp_path: Path) -> None:
    with untrusted(tmp_path) as there:
        server.will_answer(
            Answer({"id": "exp_1", "status": "done", "download_url": f"{there.address}/leads?key=secret"})
        )

        with (
            pytest.raises(CloseUnavailable, match=r"can't be downloaded \(its certificate .* SSL_CERT_FILE") as caught,
            connect().download("exp_1"),
        ):
            pass

    assert "secret" not in str(caught.value)
