#!/bin/sh
# The store's server in its container, with the password of a secret if one is given.
#   start.sh FILE.conf           start; REDIS_PASSWORD_FILE holds the password in its first line
#   start.sh cli ARGUMENTS...    valkey-cli, signed in
# An empty file, such as /dev/null, means no password. The password is in no argument.
set -eu
umask 077
file=${REDIS_PASSWORD_FILE:-/run/secrets/redis_password}
password=
if [ -e "$file" ]; then
  password=$(head -n 1 "$file") # Unreadable: no server, rather than one without a password.
  if [ -s "$file" ] && [ -z "$password" ]; then
    echo "start.sh: the first line of $file is empty" >&2
    exit 2
  fi
fi
if [ "${1:-}" = cli ]; then
  shift
  if [ -n "$password" ]; then
    REDISCLI_AUTH=$password
    export REDISCLI_AUTH
  fi
  exec valkey-cli "$@"
fi
[ -n "$password" ] || exec valkey-server "$1"
here=${TMPDIR:-/tmp}/with-password.conf
{
  printf 'include "%s"\n' "$1"
  printf '%s\n' "$password" | sed 's/[\\"]/\\&/g; s/.*/requirepass "&"/'
} >"$here"
exec valkey-server "$here"
