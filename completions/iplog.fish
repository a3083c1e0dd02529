# Completion of iplog, written by tools/generate.py with shtab 1.13.0 (https://github.com/tqdm/shtab).

# Custom Preamble

function _iplog_interfaces
  echo any
  command ls /sys/class/net 2>/dev/null
end
function _iplog_names
  iplog plugins 2>/dev/null | sed '1d; s/ .*//'
end


function _shtab_glob_compgen_163ee066
  set comp (commandline -ct)
  for candidate in (__fish_complete_path "$comp")
    set -l candidate_path (string split -m1 \t -- "$candidate")[1]
    for pattern in '*.toml' '*.conf' '*/'  # recurse into subdirs
      if string match -q -- "$pattern" "$candidate_path"
        printf '%s\n' "$candidate"
        break
      end
    end
  end
end

# End Custom Preamble

# Parse current commandline:
# - _shtab_iplog_cmdpath=(sub)command path seen so far
# - _shtab_iplog_npos=number of positional arguments given after it
# - options are skipped based on _shtab_iplog_opts_with_value & _shtab_iplog_commands lists
function _shtab_iplog_scan
  set -g _shtab_iplog_cmdpath ''
  set -g _shtab_iplog_npos 0
  set -l tokens (commandline -opc)
  set -e tokens[1]
  set -l expect_value 0
  for t in $tokens
    if test $expect_value -eq 1
      set expect_value 0
      continue
    end
    switch "$t"
      case '--*=*'
        continue
      case '-*'
        if contains -- $t $_shtab_iplog_opts_with_value
          set expect_value 1
        end
        continue
      case '*'
        if test $_shtab_iplog_npos -eq 0
          set -l candidate $t
          if test -n "$_shtab_iplog_cmdpath"
            set candidate "$_shtab_iplog_cmdpath $t"
          end
          if contains -- $candidate $_shtab_iplog_commands
            set -g _shtab_iplog_cmdpath $candidate
            continue
          end
        end
        set -g _shtab_iplog_npos (math $_shtab_iplog_npos + 1)
    end
  end
end

# Condition helper: true if the current (sub)command path equals the given one.
function _shtab_iplog_using
  _shtab_iplog_scan
  test "$_shtab_iplog_cmdpath" = "$argv"
end

set -g _shtab_iplog_commands read interfaces plugins config
set -g _shtab_iplog_opts_with_value --config --disable --enable --facility --folder --format --group --interface --jobs --kind --logfile --pid-file --priority --promisc --rule --set --since --state --until --user -a -g -i -l -u

complete -c iplog -e
complete -c iplog -f

complete -c iplog -n _shtab_iplog_using -s h -l help -d 'show this help message and exit'
complete -c iplog -n _shtab_iplog_using -l config -xka "(_shtab_glob_compgen_163ee066)" -d 'read this configuration: .toml, or .conf in the classic form'
complete -c iplog -n _shtab_iplog_using -l enable -xka "(__fish_complete_list , _iplog_names)" -d 'run these plugins, too'
complete -c iplog -n _shtab_iplog_using -l disable -xka "(__fish_complete_list , _iplog_names)" -d 'do not run these plugins'
complete -c iplog -n _shtab_iplog_using -l set -x -d 'set a setting, such as plugins.tcp_scan.ports=20'
complete -c iplog -n _shtab_iplog_using -l rule -x -d 'add a rule, such as '"'"'ignore udp sport 53'"'"''
complete -c iplog -n _shtab_iplog_using -l format -xka "text json" -d 'what to write to standard output: text (the default) or json'
complete -c iplog -n _shtab_iplog_using -l alerts-only -d 'write no traffic, only alerts'
complete -c iplog -n _shtab_iplog_using -l stats -d 'write the counters of the run at its end'
complete -c iplog -n _shtab_iplog_using -l quiet -d 'show no progress and no summary'
complete -c iplog -n _shtab_iplog_using -s v -l version -d 'print the version and exit'
complete -c iplog -n _shtab_iplog_using -l state -xka "(__fish_complete_path (commandline -ct))" -d 'go on from what FILE knows, and keep there what is known at the end'
complete -c iplog -n _shtab_iplog_using -s i -l interface -xka "(__fish_complete_list , _iplog_interfaces)" -d 'watch these interfaces'
complete -c iplog -n _shtab_iplog_using -s a -l promisc -x -d 'watch what is sent to these networks, too; * is all'
complete -c iplog -n _shtab_iplog_using -s u -l user -xka "(__fish_complete_users)" -d 'become this user once the interfaces are open'
complete -c iplog -n _shtab_iplog_using -s g -l group -xka "(__fish_complete_groups)" -d 'become this group once the interfaces are open'
complete -c iplog -n _shtab_iplog_using -l pid-file -xka "(__fish_complete_path (commandline -ct))" -d 'write the process number to this file'
complete -c iplog -n _shtab_iplog_using -s l -l logfile -xka "(__fish_complete_path (commandline -ct))" -d 'add lines to this file'
complete -c iplog -n _shtab_iplog_using -l facility -xka "auth authpriv cron daemon ftp kern lpr mail news syslog user uucp local0 local1 local2 local3 local4 local5 local6 local7" -d 'syslog facility (daemon)'
complete -c iplog -n _shtab_iplog_using -l priority -xka "emerg alert crit err warning notice info debug" -d 'syslog priority (notice)'
complete -c iplog -n _shtab_iplog_using -l tcp -d 'log TCP (on)'
complete -c iplog -n _shtab_iplog_using -l udp -d 'log UDP (on)'
complete -c iplog -n _shtab_iplog_using -l icmp -d 'log ICMP (on)'
complete -c iplog -n _shtab_iplog_using -s d -l ignore -d 'ignore answers of the name servers in /etc/resolv.conf'
complete -c iplog -n _shtab_iplog_using -s w -l log-ip -d 'write addresses behind names'
complete -c iplog -n _shtab_iplog_using -s D -l log-dest -d 'name the destination in each line'
complete -c iplog -n _shtab_iplog_using -s c -l dns-cache -d 'remember names of hosts (on)'
complete -c iplog -n _shtab_iplog_using -s T -l tcp-resolve -d 'look up names for TCP (on)'
complete -c iplog -n _shtab_iplog_using -s U -l udp-resolve -d 'look up names for UDP (on)'
complete -c iplog -n _shtab_iplog_using -s I -l icmp-resolve -d 'look up names for ICMP (on)'
complete -c iplog -n _shtab_iplog_using -s N -l disable-resolver -d 'look up no names'
complete -c iplog -n _shtab_iplog_using -s m -l scans-only -d 'write no traffic, only alerts'
complete -c iplog -n _shtab_iplog_using -s V -l verbose -d 'log malformed packets, too'
complete -c iplog -n _shtab_iplog_using -s L -l stdout -d 'write lines to standard output'
complete -c iplog -n _shtab_iplog_using -s o -l no-fork -d 'stay in the foreground (on)'
complete -c iplog -n _shtab_iplog_using -s e -l get-ident -d 'tell who owns a connection; takes the plugin get_ident'
complete -c iplog -n _shtab_iplog_using -s z -l fool-nmap -d 'confuse the OS detection of nmap; takes the plugin fool_nmap'
complete -c iplog -n _shtab_iplog_using -s p -l detect-portscan -l log-portscan -d 'report port scans, with syn_scan (on)'
complete -c iplog -n _shtab_iplog_using -s q -l detect-syn-scan -l log-syn-scan -d 'report port scans, with portscan (on)'
complete -c iplog -n _shtab_iplog_using -s f -l detect-fin-scan -l log-fin-scan -d 'report FIN scans (on)'
complete -c iplog -n _shtab_iplog_using -s n -l detect-null-scan -l log-null-scan -d 'report null scans (on)'
complete -c iplog -n _shtab_iplog_using -s x -l detect-xmas-scan -l log-xmas-scan -d 'report Xmas scans (on)'
complete -c iplog -n _shtab_iplog_using -s F -l detect-udp-scan -l log-udp-scan -d 'report UDP scans (on)'
complete -c iplog -n _shtab_iplog_using -s s -l detect-syn-flood -l log-syn-flood -d 'report SYN floods (on)'
complete -c iplog -n _shtab_iplog_using -s P -l detect-ping-flood -l log-ping-flood -d 'report ping floods (on)'
complete -c iplog -n _shtab_iplog_using -s S -l detect-smurf -l log-smurf -d 'report smurf attacks (on)'
complete -c iplog -n _shtab_iplog_using -s y -l detect-frag -l log-frag -d 'report fragment attacks (on)'
complete -c iplog -n _shtab_iplog_using -s b -l detect-bogus -l log-bogus -d 'report bogus TCP flags (on)'
complete -c iplog -n _shtab_iplog_using -s t -l detect-traceroute -l log-traceroute -d 'report traceroutes (on)'
complete -c iplog -n _shtab_iplog_using -l daemon -d 'watch in the background'
complete -c iplog -n _shtab_iplog_using -s k -l kill -d 'end the iplog that runs in the background'
complete -c iplog -n _shtab_iplog_using -s R -l restart -d 'let the iplog that runs in the background read its configuration again'
complete -c iplog -n '_shtab_iplog_using; and test $_shtab_iplog_npos -eq 0' -a read -d 'read captures: who contacted whom, who is scanning'
complete -c iplog -n '_shtab_iplog_using read' -s h -l help -d 'show this help message and exit'
complete -c iplog -n '_shtab_iplog_using read' -l config -xka "(_shtab_glob_compgen_163ee066)" -d 'read this configuration: .toml, or .conf in the classic form'
complete -c iplog -n '_shtab_iplog_using read' -l enable -xka "(__fish_complete_list , _iplog_names)" -d 'run these plugins, too'
complete -c iplog -n '_shtab_iplog_using read' -l disable -xka "(__fish_complete_list , _iplog_names)" -d 'do not run these plugins'
complete -c iplog -n '_shtab_iplog_using read' -l set -x -d 'set a setting, such as plugins.tcp_scan.ports=20'
complete -c iplog -n '_shtab_iplog_using read' -l rule -x -d 'add a rule, such as '"'"'ignore udp sport 53'"'"''
complete -c iplog -n '_shtab_iplog_using read' -l format -xka "text json" -d 'what to write to standard output: text (the default) or json'
complete -c iplog -n '_shtab_iplog_using read' -l alerts-only -d 'write no traffic, only alerts'
complete -c iplog -n '_shtab_iplog_using read' -l stats -d 'write the counters of the run at its end'
complete -c iplog -n '_shtab_iplog_using read' -l quiet -d 'show no progress and no summary'
complete -c iplog -n '_shtab_iplog_using read' -s v -l version -d 'print the version and exit'
complete -c iplog -n '_shtab_iplog_using read' -l since -x -d 'leave out packets before this time, in UTC unless it has an offset'
complete -c iplog -n '_shtab_iplog_using read' -l until -x -d 'leave out packets from this time on'
complete -c iplog -n '_shtab_iplog_using read' -l jobs -x -d 'read each capture by itself, N at a time, and write them one after another'
complete -c iplog -n '_shtab_iplog_using read' -l resolve -d 'look up the names of hosts'
complete -c iplog -n '_shtab_iplog_using read' -l state -xka "(__fish_complete_path (commandline -ct))" -d 'go on from what FILE knows, and keep there what is known at the end'
complete -c iplog -n '_shtab_iplog_using read; and test $_shtab_iplog_npos -ge 0' -ka "(__fish_complete_path (commandline -ct))" -d 'a capture; - is standard input'
complete -c iplog -n '_shtab_iplog_using; and test $_shtab_iplog_npos -eq 0' -a interfaces -d 'list what could be watched'
complete -c iplog -n '_shtab_iplog_using interfaces' -s h -l help -d 'show this help message and exit'
complete -c iplog -n '_shtab_iplog_using interfaces' -l config -xka "(_shtab_glob_compgen_163ee066)" -d 'read this configuration: .toml, or .conf in the classic form'
complete -c iplog -n '_shtab_iplog_using interfaces' -l enable -xka "(__fish_complete_list , _iplog_names)" -d 'run these plugins, too'
complete -c iplog -n '_shtab_iplog_using interfaces' -l disable -xka "(__fish_complete_list , _iplog_names)" -d 'do not run these plugins'
complete -c iplog -n '_shtab_iplog_using interfaces' -l set -x -d 'set a setting, such as plugins.tcp_scan.ports=20'
complete -c iplog -n '_shtab_iplog_using interfaces' -l rule -x -d 'add a rule, such as '"'"'ignore udp sport 53'"'"''
complete -c iplog -n '_shtab_iplog_using interfaces' -l format -xka "text json" -d 'what to write to standard output: text (the default) or json'
complete -c iplog -n '_shtab_iplog_using interfaces' -l alerts-only -d 'write no traffic, only alerts'
complete -c iplog -n '_shtab_iplog_using interfaces' -l stats -d 'write the counters of the run at its end'
complete -c iplog -n '_shtab_iplog_using interfaces' -l quiet -d 'show no progress and no summary'
complete -c iplog -n '_shtab_iplog_using interfaces' -s v -l version -d 'print the version and exit'
complete -c iplog -n '_shtab_iplog_using interfaces' -l json -d 'write JSON'
complete -c iplog -n '_shtab_iplog_using; and test $_shtab_iplog_npos -eq 0' -a plugins -d 'list the plugins, or show one'
complete -c iplog -n '_shtab_iplog_using plugins' -s h -l help -d 'show this help message and exit'
complete -c iplog -n '_shtab_iplog_using plugins' -l config -xka "(_shtab_glob_compgen_163ee066)" -d 'read this configuration: .toml, or .conf in the classic form'
complete -c iplog -n '_shtab_iplog_using plugins' -l enable -xka "(__fish_complete_list , _iplog_names)" -d 'run these plugins, too'
complete -c iplog -n '_shtab_iplog_using plugins' -l disable -xka "(__fish_complete_list , _iplog_names)" -d 'do not run these plugins'
complete -c iplog -n '_shtab_iplog_using plugins' -l set -x -d 'set a setting, such as plugins.tcp_scan.ports=20'
complete -c iplog -n '_shtab_iplog_using plugins' -l rule -x -d 'add a rule, such as '"'"'ignore udp sport 53'"'"''
complete -c iplog -n '_shtab_iplog_using plugins' -l format -xka "text json" -d 'what to write to standard output: text (the default) or json'
complete -c iplog -n '_shtab_iplog_using plugins' -l alerts-only -d 'write no traffic, only alerts'
complete -c iplog -n '_shtab_iplog_using plugins' -l stats -d 'write the counters of the run at its end'
complete -c iplog -n '_shtab_iplog_using plugins' -l quiet -d 'show no progress and no summary'
complete -c iplog -n '_shtab_iplog_using plugins' -s v -l version -d 'print the version and exit'
complete -c iplog -n '_shtab_iplog_using plugins' -l json -d 'write JSON'
complete -c iplog -n '_shtab_iplog_using plugins' -l kind -xka "detector packet-detector sink policy source" -d 'what to write: detector, packet-detector, sink, policy, source; default: detector'
complete -c iplog -n '_shtab_iplog_using plugins' -l single-file -d 'write NAME.py alone, to be named in plugin_paths'
complete -c iplog -n '_shtab_iplog_using plugins' -l folder -xka "(__fish_complete_directories)" -d 'write into this folder; default: iplog-plugin-NAME, for a single file the current one'
complete -c iplog -n '_shtab_iplog_using plugins; and test $_shtab_iplog_npos -ge 0' -ka "show new (_iplog_names)" -d 'show a plugin: what it reports, and its settings; or write a new one'
complete -c iplog -n '_shtab_iplog_using; and test $_shtab_iplog_npos -eq 0' -a config -d 'check, show or begin a configuration'
complete -c iplog -n '_shtab_iplog_using config' -s h -l help -d 'show this help message and exit'
complete -c iplog -n '_shtab_iplog_using config' -l config -xka "(_shtab_glob_compgen_163ee066)" -d 'read this configuration: .toml, or .conf in the classic form'
complete -c iplog -n '_shtab_iplog_using config' -l enable -xka "(__fish_complete_list , _iplog_names)" -d 'run these plugins, too'
complete -c iplog -n '_shtab_iplog_using config' -l disable -xka "(__fish_complete_list , _iplog_names)" -d 'do not run these plugins'
complete -c iplog -n '_shtab_iplog_using config' -l set -x -d 'set a setting, such as plugins.tcp_scan.ports=20'
complete -c iplog -n '_shtab_iplog_using config' -l rule -x -d 'add a rule, such as '"'"'ignore udp sport 53'"'"''
complete -c iplog -n '_shtab_iplog_using config' -l format -xka "text json" -d 'what to write to standard output: text (the default) or json'
complete -c iplog -n '_shtab_iplog_using config' -l alerts-only -d 'write no traffic, only alerts'
complete -c iplog -n '_shtab_iplog_using config' -l stats -d 'write the counters of the run at its end'
complete -c iplog -n '_shtab_iplog_using config' -l quiet -d 'show no progress and no summary'
complete -c iplog -n '_shtab_iplog_using config' -s v -l version -d 'print the version and exit'
complete -c iplog -n '_shtab_iplog_using config; and test $_shtab_iplog_npos -ge 0' -ka "check show schema init convert" -d 'what to do'
