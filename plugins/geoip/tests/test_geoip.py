"""What databases know of an address, and what is said of those that cannot be read."""

import shutil
from pathlib import Path

import pytest
from databases import COUNTRIES, SYSTEMS, write
from pydantic import ValidationError

from iplog_core import IplogError, testing
from iplog_geoip import Geoip, Settings


def alert(src="198.18.0.66", dest="198.18.1.1"):
    return testing.alert(src_ip=src, dest_ip=dest)


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    return write(tmp_path_factory.mktemp("country") / "country.mmdb", "GeoLite2-Country", COUNTRIES)


@pytest.fixture(scope="module")
def asn(tmp_path_factory):
    return write(tmp_path_factory.mktemp("asn") / "asn.mmdb", "GeoLite2-ASN", SYSTEMS)


@pytest.fixture
def started():
    """A function that starts the policy with these settings; it is stopped at the end."""
    running = []

    def start(**settings):
        running.append(Geoip(Settings(**settings)))
        running[-1].start()
        return running[-1]

    yield start
    for policy in running:
        policy.stop()


def fault(**settings):
    with pytest.raises(IplogError) as raised:
        Geoip(Settings(**settings)).start()
    (line,) = raised.value.faults
    return line


def test_country_and_system_of_both_ends_are_told_as_far_as_they_are_known(started, country, asn):
    assert started(country=country, asn=asn).fields(alert()) == {
        "src_country": "NL",
        "src_asn": 64496,
        "src_as_org": "Scanners Inc",
        "dest_country": "NO",
        "dest_asn": 64511,
    }


@pytest.mark.parametrize(("host", "fields"), [("2001:db8:1::66", {"src_country": "CH"}), ("198.18.7.1", {"src_country": "SE"}), ("192.0.2.1", {}), (None, {})])
def test_an_address_is_told_with_what_is_known_of_it(host, fields, started, country):
    assert started(country=country).fields(alert(src=host, dest=None)) == fields


def test_a_database_of_cities_tells_the_country(started, tmp_path):
    path = write(tmp_path / "city.mmdb", "GeoIP2-City", COUNTRIES)
    assert started(country=path).fields(alert(dest=None)) == {"src_country": "NL"}


def test_a_database_of_ipv4_alone_knows_no_address_of_ipv6(started, tmp_path):
    path = write(tmp_path / "four.mmdb", "GeoLite2-Country", {"198.18.0.0/24": COUNTRIES["198.18.0.0/24"]}, ip_version=4)
    assert started(country=path).fields(alert(dest="2001:db8::1")) == {"src_country": "NL"}


def test_a_database_that_is_written_over_stays_what_it_was_until_the_next_start(started, country, tmp_path):
    own = Path(shutil.copy(country, tmp_path / "own.mmdb"))
    policy = started(country=own)
    own.write_bytes(b"")
    assert policy.fields(alert())["src_country"] == "NL"


def test_a_database_that_is_renamed_over_stays_what_it_was_until_the_next_start(started, country, tmp_path):
    path = tmp_path / "now.mmdb"
    shutil.copy(country, path)
    before = started(country=path)
    write(tmp_path / "next", "GeoLite2-Country", {"198.18.0.0/24": {"country": {"iso_code": "DK"}}}).rename(path)
    assert [policy.fields(alert(dest=None)) for policy in (before, started(country=path))] == [{"src_country": "NL"}, {"src_country": "DK"}]


def test_a_database_that_is_not_there_is_named(tmp_path):
    assert fault(country=tmp_path / "no.mmdb") == f"country: {tmp_path}/no.mmdb: No such file or directory; expected a MaxMind database (.mmdb)."


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>", bytes(5000)])
def test_what_is_no_database_is_named(content, tmp_path):
    (tmp_path / "bad.mmdb").write_bytes(content)
    assert fault(asn=tmp_path / "bad.mmdb") == f"asn: {tmp_path}/bad.mmdb: no MaxMind database, or a damaged one; expected an .mmdb file as it was downloaded."


def test_a_folder_is_named(tmp_path):
    assert fault(asn=tmp_path).startswith(f"asn: {tmp_path}: ")


def test_one_in_the_place_of_the_other_is_named(country):
    assert fault(asn=country) == f"asn: {country}: a database of the type GeoLite2-Country; expected one with asn or isp or enterprise in its type."


def test_every_database_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(IplogError) as raised:
        Geoip(Settings(country=tmp_path / "a", asn=tmp_path / "b")).start()
    assert [line.partition(":")[0] for line in raised.value.faults] == ["country", "asn"]


def test_damage_inside_is_a_fault_that_names_the_file(started, country, tmp_path):
    broken = bytearray(country.read_bytes())
    begin, end = broken.index(bytes(16)) + 16, broken.index(b"\xab\xcd\xefMaxMind.com")
    broken[begin:end] = b"\xff" * (end - begin)
    path = tmp_path / "broken.mmdb"
    path.write_bytes(broken)
    with pytest.raises(IplogError, match=rf"^{path}: damaged; replace it$"):
        started(country=path).fields(alert())


def test_without_a_database_there_is_nothing_to_do():
    with pytest.raises(ValidationError, match="no database is set; expected country, asn or both"):
        Settings()


def test_the_databases_to_try_it_with_know_what_those_of_the_tests_know(started, country, asn, request):
    captures = request.config.rootpath / "tests" / "captures"
    tried = started(country=captures / "country.mmdb", asn=captures / "asn.mmdb")
    assert tried.fields(alert()) == started(country=country, asn=asn).fields(alert())
