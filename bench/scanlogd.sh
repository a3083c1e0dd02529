#!/bin/sh
# Let scanlogd read a capture: scanlogd.sh CAPTURE. What that takes is compiled the first time, beside the captures.
set -eu
if [ "$1" = --version ]; then
    exec dpkg-query -W scanlogd
fi
export CAPTURE=$1
library=${XDG_CACHE_HOME:-$HOME/.cache}/iplog-bench/scanlogd-1.so
command -v scanlogd >/dev/null || { echo "scanlogd is not installed" >&2; exit 127; }
[ -e "$library" ] || cc -O2 -D_GNU_SOURCE -shared -fPIC -o "$library" "$(dirname "$0")/scanlogd.c"
LD_PRELOAD=$library exec scanlogd
