"""The fields of the custom kinds that deploy/k8s uses, as JSON schemas: nothing else may occur.

They follow the CRDs of KEDA 2.17 (`fallback.behavior` is the newest field used) and of the
Prometheus operator 0.72, `monitoring.coreos.com/v1`; later ones have them all. The behaviour in a
ScaledObject is that of autoscaling/v2, which kubernetes-validate knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]


def _map(required: tuple[str, ...] = (), **fields: Schema) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of, "minItems": 1}


TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION: Schema = {"type": "string", "pattern": r"^(\d+(ms|s|m|h|d|w|y))+$"}
SELECTOR = _map(matchLabels=LABELS, matchExpressions={"type": "array"})
METADATA = _map(("name",), name=TEXT, namespace=TEXT, labels=LABELS, annotations=LABELS)

FALLBACKS = ["static", *(f"currentReplicas{when}" for when in ("", "IfHigher", "IfLower"))]

PROMETHEUS_TRIGGER = _map(
    ("serverAddress", "query", "threshold"),
    serverAddress={"type": "string", "pattern": "^https?://"},
    query=TEXT,
    threshold={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    activationThreshold={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    namespace=TEXT,
    customHeaders=TEXT,
    ignoreNullValues={"enum": ["true", "false"]},
    queryParameters=TEXT,
    unsafeSsl={"enum": ["true", "false"]},
    timeout={"type": "string", "pattern": r"^\d+$"},
    authModes=TEXT,
)
"""Everything in a trigger's metadata is text: YAML that reads as a number is refused."""

SCALED_OBJECT = _map(
    ("scaleTargetRef", "triggers"),
    scaleTargetRef=_map(("name",), apiVersion=TEXT, kind=TEXT, name=TEXT),
    pollingInterval=COUNT,
    initialCooldownPeriod=COUNT,
    cooldownPeriod=COUNT,
    idleReplicaCount=COUNT,
    minReplicaCount=COUNT,
    maxReplicaCount=COUNT,
    fallback=_map(
        ("failureThreshold", "replicas"),
        failureThreshold=COUNT,
        replicas=COUNT,
        behavior={"enum": FALLBACKS},
    ),
    advanced=_map(
        restoreToOriginalReplicaCount=FLAG,
        horizontalPodAutoscalerConfig=_map(name=TEXT, behavior={"type": "object"}),
    ),
    triggers=_list(
        _map(
            ("type", "metadata"),
            type={"const": "prometheus"},
            name=TEXT,
            metricType={"enum": ["AverageValue", "Value"]},
            useCachedMetrics=FLAG,
            metadata=PROMETHEUS_TRIGGER,
            authenticationRef=_map(("name",), name=TEXT, kind=TEXT),
        )
    ),
)  # fmt: skip

RELABELING = _map(
    sourceLabels=_list(TEXT), targetLabel=TEXT, regex=TEXT, replacement={"type": "string"},
    separator={"type": "string"}, modulus=COUNT, action=TEXT,
)  # fmt: skip

POD_MONITOR = _map(
    ("selector", "podMetricsEndpoints"),
    jobLabel=TEXT,
    podTargetLabels=_list(TEXT),
    selector=SELECTOR,
    namespaceSelector=_map(any=FLAG, matchNames=_list(TEXT)),
    sampleLimit=COUNT,
    targetLimit=COUNT,
    labelLimit=COUNT,
    podMetricsEndpoints=_list(
        _map(
            port=TEXT,
            path={"type": "string", "pattern": "^/"},
            scheme={"enum": ["http", "https"]},
            interval=DURATION,
            scrapeTimeout=DURATION,
            honorLabels=FLAG,
            honorTimestamps=FLAG,
            filterRunning=FLAG,
            relabelings=_list(RELABELING),
            metricRelabelings=_list(RELABELING),
        )
    ),
)

RULE: Schema = {
    **_map(
        ("expr",), record=TEXT, alert=TEXT, expr=TEXT, keep_firing_for=DURATION, labels=LABELS,
        annotations=LABELS, **{"for": DURATION},
    ),
    "oneOf": [{"required": ["record"]}, {"required": ["alert"]}],
}  # fmt: skip

PROMETHEUS_RULE = _map(
    groups={
        "type": "array",
        "items": _map(
            ("name", "rules"), name=TEXT, interval=DURATION, limit=COUNT, rules=_list(RULE)
        ),
    }
)


def _kind(api_version: str, kind: str, spec: Schema) -> Schema:
    return _map(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": api_version}, kind={"const": kind}, metadata=METADATA, spec=spec,
    )  # fmt: skip


SCHEMAS: Mapping[str, Schema] = {
    "ScaledObject": _kind("keda.sh/v1alpha1", "ScaledObject", SCALED_OBJECT),
    "PodMonitor": _kind("monitoring.coreos.com/v1", "PodMonitor", POD_MONITOR),
    "PrometheusRule": _kind("monitoring.coreos.com/v1", "PrometheusRule", PROMETHEUS_RULE),
}
