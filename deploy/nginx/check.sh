#!/bin/sh
# The load balancer's configuration as it would be in a container, through `nginx -t` and gixy.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v nginx >/dev/null || {
    echo "nginx is not installed: on Debian and Ubuntu install nginx-light" >&2
    exit 2
}
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
export FRONT_DIR="$directory" NGINX_STATE_DIR="$directory/state" NGINX_WEB=127.0.0.1:8025
export NGINX_CERTIFICATE_DIR="$directory/none" NGINX_ACCESS_LOG="$directory/access.log"
export NGINX_TRUSTED_PROXIES="10.0.0.0/8 fd00::/8"
"$here/front.sh" render 2>/dev/null
nginx -t -q -c "$directory/nginx.conf"
"${BIN:-.venv/bin}/gixy" "$directory/nginx.conf" >"$directory/gixy" 2>&1 || {
    cat "$directory/gixy"
    exit 1
}
