#!/bin/sh
# Checks what Prometheus and Alertmanager read, and runs the tests of the rules. Needs promtool and
# amtool: on Debian the packages prometheus and prometheus-alertmanager.
set -eu
cd "$(dirname "$0")/.."
for tool in promtool amtool; do
  command -v "$tool" >/dev/null || {
    echo "$tool is not installed: on Debian, apt-get install prometheus prometheus-alertmanager" >&2
    exit 2
  }
done
promtool check config prometheus/prometheus.yml
promtool check rules prometheus/rules/*.yml
promtool test rules prometheus/tests/*.yml

# Alertmanager before 0.26 (Debian 12) knows no url_file: there the rest of the file is checked.
checked=$(mktemp)
trap 'rm -f "$checked"' EXIT
case $(amtool --version 2>&1 | head -n 1) in
*' 0.1'*.* | *' 0.2'[0-5].*) sed 's|url_file: .*|url: http://127.0.0.1:9/|' alertmanager/alertmanager.yml >"$checked" ;;
*) cp alertmanager/alertmanager.yml "$checked" ;;
esac
amtool check-config "$checked"
