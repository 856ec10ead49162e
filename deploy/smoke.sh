#!/usr/bin/env bash
# Starts docker-compose.yml for real and tries it: mail through nginx over TLS, metrics, kills under
# load, an alert end to end. Takes everything down again, volumes too.
#
#   deploy/smoke.sh [--keep]
#
# Needs docker with compose, and python3. Its settings, secrets and ports are its own: a .env of yours
# is not read. Images that are neither here nor can be had are named; without Grafana's it goes on.
set -uo pipefail
cd "$(dirname "$0")/.."

KEEP=
case ${1-} in
'') ;;
--keep) KEEP=1 ;;
*)
    echo "usage: deploy/smoke.sh [--keep]" >&2
    exit 2
    ;;
esac

LIMIT=350 # Seconds for everything but the taking down.
PROJECT=posthaste-smoke
DIRECTORY=$(mktemp -d)
LOAD= # The pid of the client under load.

say() { printf '%4ds  %s\n' "$SECONDS" "$*"; }
fail() {
    say "FAILED: $*"
    dc ps -a --format 'table {{.Service}}\t{{.Status}}'
    dc logs --no-color --tail 4 2>&1 | cut -c 1-240
    exit 1
}
COMPOSE=(env -u SETTINGS_FILE -u SHAPING_FILE -u CLASSIFICATION_FILE -u NGINX_TLS_DIRECTORY "ENV_FILE=$DIRECTORY/env" COMPOSE_PROGRESS=quiet
    docker compose --project-name "$PROJECT" --env-file "$DIRECTORY/env" --profile inbox)
dc() { "${COMPOSE[@]}" "$@"; }
down() { dc down --volumes --remove-orphans --timeout 3 >"$DIRECTORY/down.log" 2>&1; }

finish() {
    code=$?
    trap - EXIT INT TERM
    [ -z "$LOAD" ] || kill "$LOAD" 2>/dev/null
    if [ -n "$KEEP" ]; then
        say "kept: nginx https://localhost:$NGINX_HTTPS_PORT (CA $DIRECTORY/ca.crt), inbox" \
            "http://127.0.0.1:$INBOX_PORT, Prometheus http://127.0.0.1:$PROMETHEUS_PORT," \
            "Alertmanager http://127.0.0.1:$ALERTMANAGER_PORT"
        say "take it down: docker compose -p $PROJECT --env-file $DIRECTORY/env --profile inbox down -v"
    else
        say "taking everything down"
        if ! down; then
            cat "$DIRECTORY/down.log"
            code=1
        fi
        rm -rf "$DIRECTORY"
    fi
    if [ "$code" = 0 ]; then say "PASSED"; else say "NOT PASSED (exit $code)"; fi
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_for SECONDS WHAT COMMAND...: until the command succeeds, within its time and the whole one.
wait_for() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < end && SECONDS < LIMIT)) || fail "$what"
        sleep 1
    done
}
# json URL EXPRESSION: fetch, and print what the Python expression over `d` gives.
json() {
    python3 - "$1" "$2" <<'PYTHON'
import json, sys, urllib.request
try:
    d = json.load(urllib.request.urlopen(sys.argv[1], timeout=5))
except (OSError, ValueError):
    sys.exit(1)
print(eval(sys.argv[2]))
PYTHON
}
is() { [ "$(json "$1" "$2")" = "$3" ]; }

# -- What it needs

docker compose version >/dev/null 2>&1 || {
    echo "docker with compose is not here, or its daemon does not run" >&2
    exit 1
}
mapfile -t PORTS < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(7)]
print(*(each.getsockname()[1] for each in held), sep="\n")')
NGINX_HTTP_PORT=${PORTS[0]} NGINX_HTTPS_PORT=${PORTS[1]} PROMETHEUS_PORT=${PORTS[2]}
ALERTMANAGER_PORT=${PORTS[3]} GRAFANA_PORT=${PORTS[4]} INBOX_PORT=${PORTS[5]}
BOUNCES_PORT=${PORTS[6]}
for name in relay grafana; do
    python3 -c 'import secrets; print(secrets.token_urlsafe(24))' >"$DIRECTORY/$name-password"
    chmod 444 "$DIRECTORY/$name-password"
done
chmod 755 "$DIRECTORY"
cat >"$DIRECTORY/env" <<ENV
NGINX_HTTP_PORT=$NGINX_HTTP_PORT
NGINX_HTTPS_PORT=$NGINX_HTTPS_PORT
PROMETHEUS_PORT=$PROMETHEUS_PORT
ALERTMANAGER_PORT=$ALERTMANAGER_PORT
GRAFANA_PORT=$GRAFANA_PORT
INBOX_PORT=$INBOX_PORT
BOUNCES_PORT=$BOUNCES_PORT
RELAY_PASSWORD_SECRET=$DIRECTORY/relay-password
GRAFANA_PASSWORD_SECRET=$DIRECTORY/grafana-password
ENV
dc config --quiet || fail "docker-compose.yml is not valid"

# -- Images

SERVICES=()
while read -r service image; do
    if [ "$image" != posthaste:local ] && ! docker image inspect "$image" >/dev/null 2>&1; then
        if ! timeout --foreground 60 docker pull --quiet "$image" >/dev/null 2>&1; then
            say "no image $image: going on without $service"
            [ "$service" = grafana ] || fail "the rest cannot be tried without $service"
            continue
        fi
    fi
    SERVICES+=("$service")
    kind=$(docker image inspect --format '{{index .Config.Labels "stand-in"}}' "$image" 2>/dev/null)
    case $kind in '' | '<no value>') ;; *) say "$image is a local stand-in ($kind)" ;; esac
done < <(dc config --format json | python3 -c '
import json, sys
for name, service in sorted(json.load(sys.stdin)["services"].items()):
    print(name, service["image"])')

# -- Up

down # What an earlier run may have left.
say "building and starting: ${SERVICES[*]}"
timeout --foreground 200 "${COMPOSE[@]}" up --detach --build --wait \
    --scale web=2 --scale worker=3 "${SERVICES[@]}" \
    >"$DIRECTORY/up.log" 2>&1 || {
    tail -n 30 "$DIRECTORY/up.log"
    fail "it does not come up"
}
say "up and healthy, with two web and three workers"

# hardened SERVICE: print what its container should not be or have; nothing when all is well.
hardened() {
    dc exec -T "$1" sh -s <<'INSIDE'
while read -r name number _; do
    if [ "$name" = Uid: ] && [ "$number" = 0 ]; then echo "its role runs as root"; fi
done </proc/1/status
if [ "$(id -u)" = 0 ]; then echo "what is executed in it runs as root"; fi
root=
while read -r _ place _ options _; do
    if [ "$place" = / ]; then root=$options; fi
done </proc/mounts
case ",$root," in *,ro,*) ;; *) echo "its root file system can be written" ;; esac
for tool in pip pip3 uv gcc cc c++ g++ clang cpp as ld make cargo rustc git; do
    if command -v "$tool" >/dev/null; then echo "it has $tool"; fi
done
python -c '
from importlib.util import find_spec
for name in ("pip", "ensurepip", "setuptools", "wheel", "hatchling"):
    if find_spec(name): print("it has the module", name)
'
echo looked
INSIDE
}
for service in web worker bounces exporter; do
    found=$(hardened "$service" 2>&1)
    [ "$found" = looked ] || fail "the container of $service: $found"
done
say "containers: read-only, not as root, without pip or compilers"

dc exec -T worker cat /run/secrets/relay_password | cmp -s - "$DIRECTORY/relay-password" ||
    fail "a worker does not see the relay's password"
POSTHASTE_SMOKE_KEY=$(dc exec -T web posthaste key create --app smoke) || fail "no API key"
export POSTHASTE_SMOKE_KEY
dc exec -T nginx cat /var/cache/nginx/tls/current.crt >"$DIRECTORY/ca.crt" || fail "no certificate"

# The client, which sends until $DIRECTORY/stop is there.
CLIENT=(python3 deploy/smoke_load.py "https://localhost:$NGINX_HTTPS_PORT"
    --ca "$DIRECTORY/ca.crt" --until "$DIRECTORY/stop")

# -- One message

"${CLIENT[@]}" --seconds 1 --delivered-in 20 >"$DIRECTORY/first" ||
    fail "first mail: $(cat "$DIRECTORY/first")"
is "http://127.0.0.1:$INBOX_PORT/api/messages?to=inbox@example.test" \
    'd["messages"][0]["subject"].startswith("smoke ")' True || fail "no mail in the inbox"
say "mail went through nginx over TLS and is in the inbox"

# -- Metrics

EXPECTED="{'alertmanager': 1, 'nginx': 1, 'posthaste-bounces': 1, 'posthaste-exporter': 1, 'posthaste-web': 2, 'posthaste-worker': 3, 'prometheus': 1}"
all_up() {
    is "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/targets?state=active" \
        '(lambda up: {j: up.count(j) for j in sorted(set(up))})([t["labels"]["job"] for t in d["data"]["activeTargets"] if t["health"] == "up"])' \
        "$EXPECTED" && is "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/targets?state=active" \
        'sum(t["health"] != "up" for t in d["data"]["activeTargets"])' 0
}
wait_for 45 "not every target of Prometheus is up" all_up
say "Prometheus: every target is up: $EXPECTED"

# -- Kills under load

# crash SERVICE: kill -9 its first container, and wait until that runs again. Where the process can
# be reached it is killed behind Docker's back, and the restart policy brings it back; a `docker kill`
# counts as a stop by hand, after which Docker waits for a hand.
crash() {
    local container pid how
    container=$(dc ps --quiet "$1" | head -n 1)
    pid=$(docker inspect --format '{{.State.Pid}}' "$container")
    if grep -qs "$container" "/proc/$pid/cgroup" && kill -9 "$pid" 2>/dev/null; then
        how="kill -9, restarted by its policy"
    else
        docker kill "$container" >/dev/null && docker start "$container" >/dev/null
        how="docker kill, started again"
    fi
    wait_for 40 "$1 does not come back" runs_again "$container" "$pid"
    say "$1 was killed and runs again ($how)"
}
runs_again() {
    case $(docker inspect --format '{{.State.Pid}}' "$1") in "$2" | 0) return 1 ;; esac
}
all_healthy() { [ -z "$(docker ps --quiet --filter "label=com.docker.compose.project=$PROJECT" \
    --filter health=starting --filter health=unhealthy)" ]; }

"${CLIENT[@]}" --least 100 --seconds 150 --delivered-in 60 >"$DIRECTORY/figures" &
LOAD=$!
sleep 2
for service in worker redis web; do
    crash "$service"
    sleep 4
done
wait_for 60 "not everything is healthy again" all_healthy
touch "$DIRECTORY/stop"
wait "$LOAD"
code=$?
LOAD=
rm "$DIRECTORY/stop"
say "killed worker, redis and web under load: $(cat "$DIRECTORY/figures")"
[ "$code" = 0 ] || fail "mail was lost, or too little was accepted"

# -- An alert

dc kill worker >/dev/null 2>&1
say "all workers are killed: waiting for the alert"
ALERTS="http://127.0.0.1:$ALERTMANAGER_PORT/api/v2/alerts?active=true"
wait_for 150 "no alert NoWorkers in Alertmanager" \
    is "$ALERTS" 'any(a["labels"]["alertname"] == "NoWorkers" for a in d)' True
say "Alertmanager has: $(json "$ALERTS" '", ".join(sorted({a["labels"]["alertname"] for a in d}))')"
dc start worker >/dev/null 2>&1
"${CLIENT[@]}" --seconds 1 --delivered-in 30 >"$DIRECTORY/last" ||
    fail "afterwards: $(cat "$DIRECTORY/last")"
say "workers are back and deliver: $(cat "$DIRECTORY/last")"
