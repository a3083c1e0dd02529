"""Whom to trust, and who we are (RFC 5425)."""

from __future__ import annotations

import ssl
from pathlib import Path

from iplog_core import IplogError


def tls_context(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return what checks a server's certificate and name, against the system's authorities unless `ca_file` has others, and shows it ours.

    Raise IplogError for a file that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise IplogError(_line("ca_file", ca_file, error, "certificates in PEM")) from None
    # From Python 3.13 on certificates must have every extension that RFC 5280 asks for; those of many a site's own authority have not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cert_file is not None:
        try:
            context.load_cert_chain(cert_file, key_file, password=_no_password)
        except OSError as error:
            raise IplogError(_line("cert_file", cert_file, error, "a certificate in PEM and, there or in key_file, its key without a password")) from None
    return context


def _no_password() -> str:
    """Stand in for OpenSSL's question at the terminal."""
    return ""


def _line(setting: str, path: Path | None, error: OSError, expected: str) -> str:
    what = "it cannot be used" if isinstance(error, ssl.SSLError) else error.strerror
    return f"plugins.syslog.{setting}: {path}: {what}; expected {expected}."
