"""The wheels name a platform that their library keeps to."""

from __future__ import annotations

from tools.wheels import GLIBC, newest_glibc


def test_latest_version_of_the_c_library_is_found() -> None:
    assert newest_glibc(b"\0GLIBC_2.2.5\0GLIBC_2.17\0GLIBCXX_3.4.30\0GLIBC_2.3\0") == (2, 17) == GLIBC
    assert newest_glibc(b"\0GLIBC_2.34\0") > GLIBC
    assert newest_glibc(b"") < GLIBC
