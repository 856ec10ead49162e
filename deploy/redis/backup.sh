#!/bin/sh
# Copy the append-only file of a running server, consistently: rewrites are held back meanwhile.
#   backup.sh DATA_DIR TARGET_DIR [arguments of redis-cli, such as -h HOST -p PORT -s SOCKET]
# What was answered before the copy began is in it. Restore: stop the server, put the copied
# appendonlydir in its place in the data directory, start the server.
set -eu
if [ $# -lt 2 ]; then
  echo "usage: backup.sh DATA_DIR TARGET_DIR [redis-cli arguments]" >&2
  exit 2
fi
data=$1 target=$2
shift 2
cli=$(command -v valkey-cli || command -v redis-cli) || {
  echo "backup.sh: install valkey-cli or redis-cli" >&2
  exit 2
}
ask() { "$cli" "$@"; }
[ -d "$data/appendonlydir" ] || {
  echo "backup.sh: $data has no appendonlydir: is it the server's data directory?" >&2
  exit 2
}
if [ -e "$target" ]; then
  echo "backup.sh: $target is there already: choose another" >&2
  exit 2
fi
before=$(ask "$@" --raw CONFIG GET auto-aof-rewrite-percentage | tail -n 1)
case $before in
'' | *[!0-9]*)
  echo "backup.sh: the server did not answer: $before" >&2
  exit 1
  ;;
esac
ask "$@" CONFIG SET auto-aof-rewrite-percentage 0 >/dev/null
trap 'ask "$@" CONFIG SET auto-aof-rewrite-percentage "$before" >/dev/null' EXIT
trap 'exit 130' INT TERM
until ask "$@" INFO persistence | tr -d '\r' | grep -qx 'aof_rewrite_in_progress:0'; do sleep 1; done
mkdir -p "$target"
cp -R "$data/appendonlydir" "$target/"
echo "$target: $(du -sk "$target" | cut -f1) KB"
