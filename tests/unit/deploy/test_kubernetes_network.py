"""Who reaches whom in deploy/k8s: ports, Services, policies, the Ingress, monitors."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tests.support.kubernetes import (
    OVERLAYS,
    Manifest,
    containers,
    named,
    of_kind,
    pods,
    selects,
    settings_of,
)

PORTS = {
    "posthaste-web": {"http": ("web", "listen"), "operator": ("web", "operator_listen")},
    "posthaste-worker": {"operator": ("worker", "listen")},
    "posthaste-bounces": {
        "smtp": ("bounces", "listen"),
        "operator": ("bounces", "operator_listen"),
    },
    "posthaste-exporter": {"operator": ("exporter", "listen")},
    "posthaste-inbox": {"smtp": ("inbox", "smtp_listen"), "http": ("inbox", "listen")},
}
"""Which setting each port of a role is."""
OUTSIDE = {("posthaste-bounces", "smtp"): 25}
"""A Service's port that is not that of its pods: an MX is reached at 25, and no pod is root."""
STORE_AND_DNS = {53, 6379, 6380}
SMTP = {25, 465, 587, 2525}
POLICIES = {443}
"""MTA-STS policies are fetched by HTTPS (RFC 8461 section 3.3)."""
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def _ports(template: Manifest) -> dict[str, int]:
    return {
        each["name"]: each["containerPort"]
        for container in containers(template)
        for each in container["ports"]
    }


def _let_through(overlay: str, template: Manifest, way: str) -> set[int]:
    """Ports that policies open for a pod; `way` is ingress or egress."""
    return {
        port["port"]
        for policy in of_kind(overlay, "NetworkPolicy")
        if selects(policy["spec"]["podSelector"], template["metadata"]["labels"])
        for rule in policy["spec"].get(way, [])
        for port in rule["ports"]
    }


@each_overlay
def test_ports_are_those_of_the_settings(overlay: str) -> None:
    settings = settings_of(overlay)
    for name, template in pods(overlay):
        if name in PORTS:
            wanted = {
                port: int(settings[section][setting].rpartition(":")[2])
                for port, (section, setting) in PORTS[name].items()
            }
            assert _ports(template) == wanted, name


@each_overlay
def test_services_reach_every_port_and_no_other(overlay: str) -> None:
    for name, template in pods(overlay):
        labels = template["metadata"]["labels"]
        reached = {
            each["targetPort"]: each["port"]
            for service in of_kind(overlay, "Service")
            if selects({"matchLabels": service["spec"]["selector"]}, labels)
            for each in service["spec"]["ports"]
        }
        wanted = _ports(template)
        assert reached == {port: OUTSIDE.get((name, port), wanted[port]) for port in wanted}, name


@each_overlay
def test_every_port_is_let_in_by_a_policy_and_no_other(overlay: str) -> None:
    policies = of_kind(overlay, "NetworkPolicy")
    (deny,) = [each["spec"] for each in policies if each["spec"]["podSelector"] == {}]
    assert sorted(deny["policyTypes"]) == ["Egress", "Ingress"]
    assert not {"ingress", "egress"} & deny.keys()
    for name, template in pods(overlay):
        let_in = _let_through(overlay, template, "ingress")
        assert let_in == set(_ports(template).values()), name
    for policy in policies:
        for rule in policy["spec"].get("ingress", []):
            assert rule["from"], f"{policy['metadata']['name']} lets everybody in"


@each_overlay
def test_operators_ports_are_open_to_prometheus_alone(overlay: str) -> None:
    for policy in of_kind(overlay, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            if {each["port"] for each in rule["ports"]} & {8026, 8028, 8029, 8030}:
                labels = {"posthaste-metrics": "allowed"}
                assert rule["from"] == [{"namespaceSelector": {"matchLabels": labels}}]
                assert len(rule["ports"]) == 1


@each_overlay
def test_roles_get_out_where_they_need_to_and_no_further(overlay: str) -> None:
    out = {name: _let_through(overlay, each, "egress") for name, each in pods(overlay)}
    assert out.pop("posthaste-web") == STORE_AND_DNS
    assert out.pop("posthaste-bounces") == STORE_AND_DNS
    assert out.pop("posthaste-exporter") == STORE_AND_DNS
    assert out.pop("posthaste-worker") == STORE_AND_DNS | SMTP | POLICIES
    assert all(ports == set() for ports in out.values()), out


@each_overlay
def test_b14_policies_are_fetched_from_public_addresses_only(overlay: str) -> None:
    rules = named(overlay, "NetworkPolicy", "smtp")["spec"]["egress"]
    (to,) = [each["to"] for each in rules if {p["port"] for p in each["ports"]} == POLICIES]
    blocks = {each["ipBlock"]["cidr"]: each["ipBlock"]["except"] for each in to}
    assert set(blocks) == {"0.0.0.0/0", "::/0"}
    for inside in ("10.1.2.3", "169.254.169.254", "172.20.0.1", "192.168.1.1", "::1", "fd00::1"):
        networks = [ip_network(each) for each in blocks["::/0" if ":" in inside else "0.0.0.0/0"]]
        assert any(ip_address(inside) in each for each in networks), inside


@each_overlay
def test_only_the_api_and_unsubscribe_links_are_public(overlay: str) -> None:
    """A link is opened by whoever got the mail, and POSTed to by his provider (RFC 8058). What
    else web answers, /livez, /readyz, /docs, is for inside, and /metrics for operators."""
    (ingress,) = of_kind(overlay, "Ingress")
    hosts = {each["host"] for each in ingress["spec"]["rules"]}
    assert {host for each in ingress["spec"]["tls"] for host in each["hosts"]} == hosts
    for rule in ingress["spec"]["rules"]:
        paths = [(path["path"], path["pathType"]) for path in rule["http"]["paths"]]
        assert paths == [("/v1", "Prefix"), ("/u/", "Prefix"), ("/console", "Prefix")]
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]
            ports = named(overlay, "Service", service["name"])["spec"]["ports"]
            assert [(each["name"], each["port"]) for each in ports] == [("http", 8025)]
            assert service["port"] == {"name": "http"}


def test_monitors_scrape_each_role_under_its_job_name() -> None:
    jobs = set()
    for monitor in of_kind("production", "PodMonitor"):
        template = dict(pods("production"))[monitor["metadata"]["name"]]
        jobs.add(template["metadata"]["labels"][monitor["spec"]["jobLabel"]])
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["path"] == "/metrics"
        assert endpoint["port"] == "operator"
        assert "operator" in _ports(template)
    assert jobs == {
        "posthaste-web", "posthaste-worker", "posthaste-bounces", "posthaste-exporter",
    }  # fmt: skip
