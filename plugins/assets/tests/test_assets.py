"""Which name an address gets, and what is said of a file with faults."""

import pytest

from iplog_assets import AssetNames, Settings
from iplog_core import IplogError, testing

HEAD = "network,name\n"


def alert(src="10.1.2.3", dest="192.0.2.1"):
    return testing.alert(src_ip=src, dest_ip=dest)


@pytest.fixture
def assets(tmp_path):
    """A function that starts the policy over a file of this text, or these bytes."""

    def start(text):
        path = tmp_path / "assets.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        policy = AssetNames(Settings(file=path))
        policy.start()
        return policy

    return start


@pytest.fixture
def faults(assets, tmp_path):
    """A function that returns what is said of a file, without its folder."""

    def read(text):
        with pytest.raises(IplogError) as raised:
            assets(text)
        return [fault.replace(f"{tmp_path}/", "") for fault in raised.value.faults]

    return read


def test_both_ends_get_their_names(assets):
    policy = assets(f"{HEAD}10.1.2.3,printer\n192.0.2.0/24,dmz\n")
    assert policy.fields(alert()) == {"src_asset": "printer", "dest_asset": "dmz"}


@pytest.mark.parametrize(
    ("host", "name"),
    [("10.1.2.3", "printer"), ("10.1.2.4", "printers"), ("10.9.9.9", "office"), ("192.0.2.1", "world"), ("2001:db8::1", "six"), ("2001:db9::1", None)],
)
def test_the_longest_prefix_wins_wherever_it_stands(host, name, assets):
    policy = assets(f"{HEAD}0.0.0.0/0,world\n10.1.2.3,printer\n10.0.0.0/8,office\n10.1.2.0/24,printers\n2001:db8::/32,six\n")
    assert policy.fields(alert(src=host, dest=None)).get("src_asset") == name


def test_an_alert_without_a_source_gets_the_name_of_its_target(assets):
    assert assets(f"{HEAD}192.0.2.1,web\n").fields(alert(src=None)) == {"dest_asset": "web"}


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffNetwork,Name\r\n10.1.2.3,printer\r\n",
        "# ours\n\nowner, name ,network\nit,printer,10.1.2.3\n# end\n",
        'network,name\n"10.1.2.3","printer"\n10.1.2.3,printer\n',
    ],
)
def test_what_spreadsheets_and_people_write_is_read(text, assets):
    assert assets(text).fields(alert(dest=None)) == {"src_asset": "printer"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("10.1.2,printer", "assets.csv, line 2: '10.1.2' is no address and no network; expected one such as 192.0.2.10 or 192.0.2.0/24."),
        ("10.1.2.3/8,office", "assets.csv, line 2: '10.1.2.3/8' has bits after its prefix; expected 10.0.0.0/8."),
        ("10.1.2.3", "assets.csv, line 2: 10.1.2.3/32 has no name; expected one in the column 'name'."),
        ("10.1.2.3,a\n\n10.1.2.3,b", "assets.csv, line 4: 10.1.2.3/32 is 'a' in line 2 already; expected one name."),
        ('"10.1.2.3,a', "assets.csv, line 2: no CSV: unexpected end of data."),
    ],
)
def test_a_fault_is_told_with_its_line(line, said, faults):
    assert faults(HEAD + line) == [said]


def test_all_faults_are_told_at_once_up_to_ten(faults):
    told = faults(HEAD + "x,y\n" * 1234)
    assert (len(told), told[-1]) == (11, "assets.csv: 1,224 more lines are wrong.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "assets.csv: empty; expected a first line that names the columns, such as network,name."),
        ("10.1.2.3,printer\n", "assets.csv, line 1: '10.1.2.3,printer' does not name the columns; expected 'network' and 'name' among them, between commas."),
        ("network;name\n", "assets.csv, line 1: 'network;name' does not name the columns; expected 'network' and 'name' among them, between commas."),
        ("network,name\n10.1.2.3,K\xfcche\n".encode("latin-1"), "assets.csv: not text in UTF-8; save it as CSV in that encoding."),
    ],
)
def test_what_is_no_such_file_is_told(text, said, faults):
    assert faults(text) == [said]


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(IplogError, match=r"none\.csv: No such file or directory; expected a CSV file that can be read\.$"):
        AssetNames(Settings(file=tmp_path / "none.csv")).start()
