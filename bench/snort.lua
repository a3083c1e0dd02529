-- Snort 3 as its speed is measured: the inspectors that follow connections, and its detection of port scans.
stream = {}
stream_ip = {}
stream_icmp = {}
stream_tcp = {}
stream_udp = {}
port_scan = { protos = 'all', scan_types = 'all' }
