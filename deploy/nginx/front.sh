#!/bin/sh
# The load balancer's configuration, made from the environment, and kept up to date.
#
#   front.sh render    write nginx.conf and what it includes into FRONT_DIR
#   front.sh watch     look for other addresses of web, and another certificate; reload nginx then
#   front.sh healthy   whether nginx answers and somebody watches
#
# nginx before 1.27 cannot follow a name in an upstream, so the addresses are written out. A reload
# closes idle connections of clients (nginx before 1.27.4), so it is done only when it must be: at
# once for a new address, at most every NGINX_RELOAD_SECONDS; for one that is gone when it has not
# come back within NGINX_FORGET_SECONDS, since nginx passes by what it cannot connect to; never for
# an empty answer. Needs sh, sed, getent, openssl (for a certificate of its own) and curl (healthy).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
FRONT_DIR=${FRONT_DIR:-/tmp/nginx}
NGINX=${NGINX:-nginx}
umask 022

die() {
    echo "front.sh: $*" >&2
    exit 2
}

# setting NAME DEFAULT PATTERN: the environment's value or the default; what does not match ends it.
setting() {
    eval "found=\${$1:-\$2}"
    # shellcheck disable=SC2154  # eval sets it.
    [ "$(printf '%s\n' "$found" | grep -Ecvx "$3")" = 0 ] ||
        die "$1 is '$found', which does not match $3"
    printf '%s' "$found"
}

settings() {
    rate='[0-9]+r/[sm]' number='[0-9]+' listener='[][0-9a-fA-F.:]+' path='/[A-Za-z0-9/._-]+'
    state=$(setting NGINX_STATE_DIR /var/cache/nginx "$path")
    web=$(setting NGINX_WEB web:8025 '[A-Za-z0-9_.-]+:[0-9]+( [A-Za-z0-9_.-]+:[0-9]+)*')
    processes=$(setting NGINX_PROCESSES auto 'auto|[0-9]+')
    http=$(setting NGINX_LISTEN_HTTP 8080 "$listener")
    https=$(setting NGINX_LISTEN_HTTPS 8443 "$listener")
    status=$(setting NGINX_LISTEN_STATUS 8090 "$listener")
    public=$(setting NGINX_HTTPS_PORT 443 "$number")
    bytes=$(setting NGINX_MAX_REQUEST_BYTES 33554432 "$number")
    key_rate=$(setting NGINX_RATE_PER_KEY 1000r/s "$rate")
    key_burst=$(setting NGINX_BURST_PER_KEY 2000 "$number")
    address_rate=$(setting NGINX_RATE_PER_ADDRESS 2000r/s "$rate")
    address_burst=$(setting NGINX_BURST_PER_ADDRESS 4000 "$number")
    trusted=$(setting NGINX_TRUSTED_PROXIES '' '([0-9a-fA-F.:/]+( [0-9a-fA-F.:/]+)*)?')
    own=$(setting NGINX_CERTIFICATE_DIR /etc/posthaste/tls "$path")
    access_log=$(setting NGINX_ACCESS_LOG /dev/stdout "$path")
    between=$(setting NGINX_RELOAD_SECONDS 10 "$number")
    forget=$(setting NGINX_FORGET_SECONDS 30 "$number")
    every=$(setting NGINX_WATCH_SECONDS 2 "$number")
}

# Every address of web, one a line, sorted; nothing when no name resolves.
addresses() {
    for each in $web; do
        getent ahostsv4 "${each%:*}" | awk -v port="${each##*:}" '{ print $1 ":" port }'
    done | sort -u
}

write_upstream() { # ADDRESSES...
    {
        echo "upstream web {"
        echo "    zone web 256k;"
        for each; do echo "    server $each max_fails=1 fail_timeout=1s;"; done
        # One that has failed is passed by for a second. When that leaves none, all are tried again:
        # in a rolling restart the first is back before nginx knows, and the second is going.
        for each; do echo "    server $each max_fails=0 backup;"; done
        echo "    keepalive 64;"
        echo "    keepalive_timeout 60s;" # web closes after 75.
        echo "    keepalive_requests 100000;"
        echo "}"
    } >"$FRONT_DIR/upstream.conf.new"
    mv "$FRONT_DIR/upstream.conf.new" "$FRONT_DIR/upstream.conf"
}

fingerprint() { cksum "$own/tls.crt" "$own/tls.key" 2>/dev/null || true; }

# The certificate to use: the one mounted at NGINX_CERTIFICATE_DIR, else one made here for trials.
choose_certificate() {
    fingerprint >"$FRONT_DIR/certificate.sum" # Before it is read: a later change is seen.
    certificate=$own/tls.crt certificate_key=$own/tls.key
    if [ -e "$certificate" ]; then
        [ -r "$certificate_key" ] || die "cannot read $certificate_key: it belongs to $certificate"
    else
        certificate=$state/tls/tls.crt certificate_key=$state/tls/tls.key
        [ -s "$certificate" ] && [ -s "$certificate_key" ] || make_certificate
    fi
    # A copy that others may read, so that its end can be watched.
    mkdir -p "$state/tls"
    cp "$certificate" "$state/tls/current.crt.new"
    chmod 644 "$state/tls/current.crt.new"
    mv "$state/tls/current.crt.new" "$state/tls/current.crt"
}

make_certificate() {
    command -v openssl >/dev/null ||
        die "no certificate in $own, and no openssl to make one: put tls.crt and tls.key there"
    echo "front.sh: no certificate in $own: making a self-signed one, for trials" >&2
    mkdir -p "$state/tls"
    (
        umask 077
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 \
            -subj /CN=localhost -addext subjectAltName=DNS:localhost,DNS:nginx,IP:127.0.0.1 \
            -keyout "$state/tls/tls.key.new" -out "$state/tls/tls.crt.new" 2>/dev/null
    ) || die "openssl could not make a certificate in $state/tls"
    mv "$state/tls/tls.key.new" "$state/tls/tls.key"
    mv "$state/tls/tls.crt.new" "$state/tls/tls.crt"
}

# at_least MAJOR MINOR PATCH: whether nginx is of this version or newer.
at_least() {
    "$NGINX" -v 2>&1 | sed 's,.*nginx/\([0-9.]*\).*,\1,' |
        awk -F. -v a="$1" -v b="$2" -v c="$3" \
            '{ exit !($1 * 1000000 + $2 * 1000 + $3 >= a * 1000000 + b * 1000 + c) }'
}

write_config() {
    listen_http2=' http2' http2_on= keepalive_min= port=:$public
    if at_least 1 25 1; then listen_http2='' http2_on='http2 on;'; fi
    # A reload leaves this long to a client whose next request is on its way.
    if at_least 1 27 4; then keepalive_min='keepalive_min_timeout 5s;'; fi
    if [ "$public" = 443 ]; then port=; fi
    for each in $trusted; do echo "set_real_ip_from $each;"; done >"$FRONT_DIR/trusted.conf"
    sed -e "s,@DIR@,$FRONT_DIR,g" -e "s,@STATE@,$state,g" -e "s,@PROCESSES@,$processes,g" \
        -e "s,@LISTEN_HTTP@,$http,g" -e "s,@LISTEN_HTTPS@,$https,g" \
        -e "s,@LISTEN_STATUS@,$status,g" -e "s,@PUBLIC_PORT@,$port,g" \
        -e "s,@MAX_REQUEST_BYTES@,$bytes,g" -e "s,@RATE_PER_KEY@,$key_rate,g" \
        -e "s,@BURST_PER_KEY@,$key_burst,g" -e "s,@RATE_PER_ADDRESS@,$address_rate,g" \
        -e "s,@BURST_PER_ADDRESS@,$address_burst,g" -e "s,@CERTIFICATE@,$certificate,g" \
        -e "s,@CERTIFICATE_KEY@,$certificate_key,g" -e "s,@HTTP2_LISTEN@,$listen_http2,g" \
        -e "s,@HTTP2_ON@,$http2_on,g" -e "s,@KEEPALIVE_MIN@,$keepalive_min,g" \
        -e "s,@ACCESS_LOG@,$access_log,g" "$here/nginx.conf.in" >"$FRONT_DIR/nginx.conf.new"
    mv "$FRONT_DIR/nginx.conf.new" "$FRONT_DIR/nginx.conf"
}

render() {
    mkdir -p "$FRONT_DIR" "$state"
    waited=0
    found=$(addresses)
    while [ -z "$found" ]; do
        [ "$waited" -lt 60 ] || die "no address for $web after 60 s: is it running?"
        sleep 1
        waited=$((waited + 1))
        found=$(addresses)
    done
    choose_certificate
    # shellcheck disable=SC2086  # A list of words.
    write_upstream $found
    write_config
    touch "$FRONT_DIR/watched"
}

reload() { # WHY
    if ! "$NGINX" -t -q -c "$FRONT_DIR/nginx.conf" 2>"$FRONT_DIR/reload.log"; then
        sed 's/^/front.sh: not reloaded: /' "$FRONT_DIR/reload.log" >&2
        return 1
    fi
    echo "front.sh: $1: reloading nginx" >&2
    kill -HUP "$(cat "$FRONT_DIR/nginx.pid")"
}

# What is in `known` and not in `found`, or the other way round.
without() { # LIST FROM
    for each in $1; do case " $(echo $2) " in *" $each "*) ;; *) echo "$each" ;; esac; done
}

watch() {
    known=$(sed -n 's/^ *server \([^ ]*\) .*backup;$/\1/p' "$FRONT_DIR/upstream.conf")
    gone_since=0 last=0
    while :; do
        sleep "$every"
        touch "$FRONT_DIR/watched"
        now=$(date +%s)
        if [ "$(fingerprint)" != "$(cat "$FRONT_DIR/certificate.sum")" ]; then
            choose_certificate
            write_config
            reload "another certificate" || true
        fi
        found=$(addresses)
        [ -n "$found" ] || continue # Never an empty list: the last one is the best guess.
        new=$(without "$found" "$known")
        gone=$(without "$known" "$found")
        if [ -z "$gone" ]; then gone_since=0; elif [ "$gone_since" = 0 ]; then gone_since=$now; fi
        [ -n "$new" ] || { [ "$gone_since" != 0 ] && [ $((now - gone_since)) -ge "$forget" ]; } ||
            continue
        [ $((now - last)) -ge "$between" ] || continue
        last=$now
        # shellcheck disable=SC2086  # A list of words.
        write_upstream $found
        # shellcheck disable=SC2086,SC2116  # One line of a list of words.
        if reload "web is at $(echo $found)"; then known=$found gone_since=0; fi
    done
}

healthy() {
    case $status in *:*) at=$status ;; *) at=127.0.0.1:$status ;; esac
    curl -fsS -m 3 -o /dev/null "http://$at/livez" || die "nginx does not answer on $at"
    [ -n "$(find "$FRONT_DIR/watched" -mmin -1)" ] || die "nobody watches the addresses of web"
}

settings
case ${1-} in
render | watch | healthy) "$1" ;;
*) die "say render, watch or healthy" ;;
esac
