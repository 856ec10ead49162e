#!/bin/sh
# A hook of the nginx image: the configuration before nginx starts, then the watch over it.
set -e
/opt/posthaste/front.sh render
while :; do
    /opt/posthaste/front.sh watch || true
    sleep 1
done &
