"""Packages come through the machine's apt, isolated from its state, and only with a good signature."""

import shutil
from pathlib import Path

import pytest

from host_tools import debian
from host_tools.debian import DebianError

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt on this machine")


def test_uris_are_read_from_apts_listing() -> None:
    listing = (
        "Reading package lists...\n"
        "'http://example.org/pool/libc6_2.41-12_i386.deb' libc6_2.41-12_i386.deb 2832000 SHA256:00\n"
        "'http://example.org/pool/m_1%3a2_i386.deb' m_1%3a2_i386.deb 17 SHA256:00\n"
    )
    assert debian._parse_uris(listing) == [("libc6_2.41-12_i386.deb", 2832000), ("m_1%3a2_i386.deb", 17)]


@needs_apt
def test_mirror_can_be_named_and_is_read_from_apt_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EESM_DEBIAN_MIRROR", "http://mirror.example/debian")
    assert debian.find_mirror() == "http://mirror.example/debian"
    monkeypatch.delenv("EESM_DEBIAN_MIRROR")
    assert "://" in debian.find_mirror() or debian.find_mirror().startswith("file:")


def test_machine_without_a_main_component_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EESM_DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr(debian, "_run", lambda command: "http://x.example/ stable contrib\n\n")
    with pytest.raises(DebianError, match="EESM_DEBIAN_MIRROR"):
        debian.find_mirror()


@needs_apt
def test_archive_that_nobody_signed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = tmp_path / "archive" / "dists" / debian.SUITE
    (suite / "main" / f"binary-{debian.ARCHITECTURE}").mkdir(parents=True)
    (suite / "main" / f"binary-{debian.ARCHITECTURE}" / "Packages").write_text("")
    (suite / "Release").write_text(f"Suite: {debian.SUITE}\nCodename: {debian.SUITE}\n")
    keyring = tmp_path / "keys.gpg"
    keyring.write_bytes(b"")
    monkeypatch.setattr(debian, "KEYRINGS", (str(keyring),))
    monkeypatch.setenv("EESM_DEBIAN_MIRROR", f"file://{tmp_path / 'archive'}")
    with pytest.raises(DebianError, match="not signed"):
        debian.fetch(["micropython"], tmp_path / "apt", closure=True, report=lambda text: None)
