"""What the environment says about the way to a server: which certificates to trust, and which proxy to ask.

httpx reads it, for our client of Close and for Prefect's client, and raises errors of many kinds when it can't be used.
"""

import os
from functools import cache
from importlib.util import find_spec
from ssl import SSLContext, SSLError
from urllib.request import getproxies

import httpx

HIGHEST_PORT = 65535


@cache
def certificates() -> SSLContext:
    """The trusted certificates, loaded once per process: that takes longer than a request.

    Raises OSError if the file that SSL_CERT_FILE names can't be used.
    """
    return httpx.create_ssl_context()


def environment_problem(*, proxies: bool = True) -> str | None:
    """What is wrong with the certificates or the *proxies* that the environment names: one sentence, or None.

    It doesn't repeat the address of a proxy, which may hold a password.
    """
    try:
        certificates()
    except OSError as error:
        path = os.environ.get("SSL_CERT_FILE", "")
        why = "it holds no certificate" if isinstance(error, SSLError) else error.strerror
        return f"SSL_CERT_FILE: {path} can't be used ({why}): name a file of certificates in PEM format, or unset it."
    return _proxy_problem() if proxies else None


def _has_usable_host(url: httpx.URL) -> bool:
    """Whether a connection can be tried. httpx accepts addresses at which Python's sockets raise other errors."""
    try:
        url.host.encode("idna")
    except UnicodeError:
        return False
    return bool(url.host) and 0 < (url.port or 1) <= HIGHEST_PORT


def _proxy_problem() -> str | None:
    found = getproxies()
    if "*" in (each.strip() for each in found.get("no", "").split(",")):
        return None  # httpx asks no proxy then
    for scheme in ("http", "https", "all"):
        if (address := found.get(scheme)) and (why := _why_not(address)):
            return f"{_variable(scheme)}: {why}."
    try:
        httpx.Client(verify=certificates()).close()
    except (ValueError, httpx.InvalidURL):
        what = "separate hosts by commas, and write IPv6 addresses without brackets, such as ::1"
        return f"{_variable('no')}: one of its entries is not a host; {what}."
    return None


def _why_not(address: str) -> str | None:
    """Why httpx can't use this proxy, or None."""
    try:
        url = httpx.URL(address if "://" in address else f"http://{address}")
    except httpx.InvalidURL:
        url = httpx.URL()
    if not url.scheme or not _has_usable_host(url):
        return "it is not the address of a proxy; write http://HOST:PORT"
    if url.scheme in ("socks5", "socks5h") and find_spec("socksio") is None:
        return "a SOCKS proxy needs the Python package socksio; install it, or name an http:// proxy"
    if url.scheme not in ("http", "https", "socks5", "socks5h"):
        return f"proxies of the scheme {url.scheme}:// can't be used; write http://HOST:PORT"
    return None


def _variable(scheme: str) -> str:
    """The variable that is set; its name in lower case takes precedence."""
    lower = f"{scheme}_proxy"
    return lower if os.environ.get(lower) else lower.upper()
