"""MaxMind databases of documentation networks. `python tests/databases.py` writes those in tests/captures anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

COUNTRIES: dict[str, dict[str, Any]] = {
    "198.18.0.0/24": {"country": {"iso_code": "NL", "geoname_id": 2750405}},
    "198.18.1.0/24": {"country": {"iso_code": "NO"}},
    "198.18.7.0/24": {"registered_country": {"iso_code": "SE"}},
    "2001:db8:1::/48": {"country": {"iso_code": "CH"}},
}
SYSTEMS: dict[str, dict[str, Any]] = {
    "198.18.0.0/24": {"autonomous_system_number": 64496, "autonomous_system_organization": "Scanners Inc"},
    "198.18.1.0/24": {"autonomous_system_number": 64511},
}


def write(path: Path, type_: str, records: dict[str, dict[str, Any]], ip_version: int = 6) -> Path:
    """Write a database of this type."""
    writer = MMDBWriter(ip_version, type_, ipv4_compatible=ip_version == 6, int_type="u32")
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


if __name__ == "__main__":
    captures = Path(__file__).with_name("captures")
    write(captures / "country.mmdb", "GeoLite2-Country", COUNTRIES)
    write(captures / "asn.mmdb", "GeoLite2-ASN", SYSTEMS)
