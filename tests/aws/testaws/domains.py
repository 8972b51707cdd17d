"""API Gateway v2: custom domain names with API mappings and routing rules, which can lead to APIs of both versions.

Both versions list the same domain names. Those that version 1 creates are moto's. Requests to a custom domain name are
not served.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from moto.apigateway.models import apigateway_backends
from moto.apigateway.utils import create_id

from .account_state import World
from .apigateway import bad_request, conflict
from .apigateway import page as page_of_version_1
from .gateway import operation
from .http_apis import SERVICE, given, not_found, page
from .rest_apis import check_tags
from .wire import ACCOUNT, Call, arn, dns_suffix

# Version 1 has other names for the modes.
_MODES = {
    "API_MAPPING_ONLY": "BASE_PATH_MAPPING_ONLY",
    "ROUTING_RULE_ONLY": "ROUTING_RULE_ONLY",
    "ROUTING_RULE_THEN_API_MAPPING": "ROUTING_RULE_THEN_BASE_PATH_MAPPING",
}


@dataclass
class Domain:
    region: str
    shown: dict[str, Any]
    mappings: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.shown["DomainName"]


def fresh(world: World) -> None:
    world.domains = {}


def _all(world: World, region: str) -> dict[str, Domain]:
    """The domain names of a region, also those of version 1."""
    backend = apigateway_backends[ACCOUNT][region]
    found = {
        name: _of_version_1(domain, backend.base_path_mappings.get(name, {}), region)
        for name, domain in backend.domain_names.items()
    }
    return found | {name: domain for name, domain in world.domains.items() if domain.region == region}


def _of_version_1(domain: Any, base_paths: dict[str, Any], region: str) -> Domain:
    kind = (domain.endpoint_configuration or {}).get("types", ["EDGE"])[0]
    target = domain.regional_domain_name if kind == "REGIONAL" else domain.distribution_domain_name
    found = Domain(region, _shown(domain.domain_name, region, target, kind, domain.tags or {}))
    for path, mapping in base_paths.items():
        shown = mapping.to_json()
        mapping_id = hashlib.sha256(path.encode()).hexdigest()[:6]
        found.mappings[mapping_id] = {
            "ApiId": shown["restApiId"],
            "ApiMappingId": mapping_id,
            "ApiMappingKey": "" if path == "(none)" else path,
            "Stage": shown.get("stage") or "",
        }
    return found


def _shown(name: str, region: str, target: str, kind: str, tags: dict[str, str]) -> dict[str, Any]:
    return {
        "ApiMappingSelectionExpression": "$request.basepath",
        "DomainName": name,
        "DomainNameArn": arn("apigateway", region, f"/domainnames/{name}", account=""),
        "DomainNameConfigurations": [
            {
                "ApiGatewayDomainName": target,
                "DomainNameStatus": "AVAILABLE",
                "EndpointType": kind,
                "HostedZoneId": "Z2FDTNDATAQYW2",
                "IpAddressType": "ipv4",
                "SecurityPolicy": "TLS_1_2",
            }
        ],
        "RoutingMode": "API_MAPPING_ONLY",
        "Tags": dict(tags),
    }


def _domain(world: World, call: Call) -> Domain:
    domain = _all(world, call.region).get(call.params["DomainName"])
    if domain is None:
        raise not_found("DomainName", "Invalid domain name identifier specified")
    return domain


def domain_of(world: World, call: Call) -> dict[str, Any]:
    return _domain(world, call).shown


@operation(SERVICE, "GetDomainNames")
def get_domain_names(world: World, call: Call) -> Any:
    return page(world, call, [domain.shown for _, domain in sorted(_all(world, call.region).items())])


@operation(SERVICE, "GetDomainName")
def get_domain_name(world: World, call: Call) -> Any:
    return domain_of(world, call)


@operation(SERVICE, "CreateDomainName")
def create_domain_name(world: World, call: Call) -> Any:
    name = call.params["DomainName"]
    check_tags(call, call.get("Tags", {}))
    if name in _all(world, call.region):
        raise bad_request("The domain name you provided already exists.")
    target = f"d-{create_id()}.execute-api.{call.region}.{dns_suffix(call.region)}"
    shown = _shown(name, call.region, target, "REGIONAL", call.get("Tags", {}))
    shown |= given(call, "RoutingMode", "MutualTlsAuthentication")
    for configuration in call.get("DomainNameConfigurations", [])[:1]:
        shown["DomainNameConfigurations"][0].update(configuration)
    world.domains[name] = Domain(call.region, shown)
    return shown


@operation(SERVICE, "UpdateDomainName")
def update_domain_name(world: World, call: Call) -> Any:
    domain = _domain(world, call)
    domain.shown.update(given(call, "RoutingMode"))
    return domain.shown


@operation(SERVICE, "DeleteDomainName")
def delete_domain_name(world: World, call: Call) -> Any:
    world.domains.pop(_domain(world, call).name, None)
    return {}


# --- API mappings


def _check_target(world: World, call: Call, api_id: str, stage: str) -> None:
    api = world.http_apis.get(api_id) or apigateway_backends[ACCOUNT][call.region].apis.get(api_id)
    if api is None:
        raise bad_request("Invalid API identifier specified")
    if stage not in api.stages:
        raise bad_request("Invalid stage identifier specified")


@operation(SERVICE, "CreateApiMapping")
def create_api_mapping(world: World, call: Call) -> Any:
    domain = _domain(world, call)
    _check_target(world, call, call.params["ApiId"], call.params["Stage"])
    key = call.get("ApiMappingKey", "")
    if any(mapping["ApiMappingKey"] == key for mapping in domain.mappings.values()):
        raise conflict("ApiMapping key already exists for this domain name")
    mapping = {"ApiMappingId": create_id()[:6], "ApiMappingKey": key, **given(call, "ApiId", "Stage")}
    domain.mappings[mapping["ApiMappingId"]] = mapping
    return mapping


@operation(SERVICE, "GetApiMappings")
def get_api_mappings(world: World, call: Call) -> Any:
    return page(world, call, _domain(world, call).mappings.values())


def _mapping(domain: Domain, call: Call) -> dict[str, Any]:
    mapping = domain.mappings.get(call.params["ApiMappingId"])
    if mapping is None:
        raise not_found("ApiMapping", "Invalid API mapping identifier specified")
    return mapping


@operation(SERVICE, "GetApiMapping")
def get_api_mapping(world: World, call: Call) -> Any:
    return _mapping(_domain(world, call), call)


@operation(SERVICE, "DeleteApiMapping")
def delete_api_mapping(world: World, call: Call) -> Any:
    domain = _domain(world, call)
    del domain.mappings[_mapping(domain, call)["ApiMappingId"]]
    return {}


# --- routing rules


def _rule(world: World, call: Call, domain: Domain, rule_id: str) -> dict[str, Any]:
    """The rule that a call describes. Raises for one that AWS refuses."""
    paths = [one for one in call.params["Conditions"] if "MatchBasePaths" in one]
    headers = [one for one in call.params["Conditions"] if "MatchHeaders" in one]
    if len(paths) > 1 or len(headers) > 2:
        raise bad_request("A routing rule has at most one matchBasePaths and two matchHeaders conditions")
    for action in call.params["Actions"]:
        _check_target(world, call, action["InvokeApi"]["ApiId"], action["InvokeApi"]["Stage"])
    others = [rule for rule in domain.rules.values() if rule["RoutingRuleId"] != rule_id]
    if any(rule["Priority"] == call.params["Priority"] for rule in others):
        raise conflict("A routing rule with this priority already exists for this domain name")
    return {
        **given(call, "Actions", "Conditions", "Priority"),
        "RoutingRuleArn": f"{domain.shown['DomainNameArn']}/routingrules/{rule_id}",
        "RoutingRuleId": rule_id,
    }


def _known_rule(domain: Domain, call: Call) -> dict[str, Any]:
    rule = domain.rules.get(call.params["RoutingRuleId"])
    if rule is None:
        raise not_found("RoutingRule", "Invalid routing rule identifier specified")
    return rule


@operation(SERVICE, "CreateRoutingRule")
def create_routing_rule(world: World, call: Call) -> Any:
    domain = _domain(world, call)
    rule = _rule(world, call, domain, create_id()[:6])
    domain.rules[rule["RoutingRuleId"]] = rule
    return rule


@operation(SERVICE, "PutRoutingRule")
def put_routing_rule(world: World, call: Call) -> Any:
    domain = _domain(world, call)
    rule = _known_rule(domain, call)
    rule.update(_rule(world, call, domain, rule["RoutingRuleId"]))
    return rule


@operation(SERVICE, "GetRoutingRule")
def get_routing_rule(world: World, call: Call) -> Any:
    return _known_rule(_domain(world, call), call)


@operation(SERVICE, "ListRoutingRules")
def list_routing_rules(world: World, call: Call) -> Any:
    rules = sorted(_domain(world, call).rules.values(), key=lambda rule: rule["Priority"])
    return page(world, call, rules, "RoutingRules")


@operation(SERVICE, "DeleteRoutingRule")
def delete_routing_rule(world: World, call: Call) -> Any:
    domain = _domain(world, call)
    del domain.rules[_known_rule(domain, call)["RoutingRuleId"]]
    return {}


# --- version 1


def _as_version_1(domain: Domain) -> dict[str, Any]:
    (configuration,) = domain.shown["DomainNameConfigurations"]
    return {
        "domainName": domain.name,
        "domainNameArn": domain.shown["DomainNameArn"],
        "domainNameStatus": configuration["DomainNameStatus"],
        "endpointConfiguration": {"types": [configuration["EndpointType"]]},
        "regionalDomainName": configuration["ApiGatewayDomainName"],
        "regionalHostedZoneId": configuration["HostedZoneId"],
        "routingMode": _MODES[domain.shown["RoutingMode"]],
        "securityPolicy": configuration["SecurityPolicy"],
        "tags": domain.shown["Tags"],
    }


@operation("apigateway", "GetDomainNames")
def get_domain_names_of_version_1(world: World, call: Call) -> Any:
    ours = [_as_version_1(domain) for domain in world.domains.values() if domain.region == call.region]
    return page_of_version_1(world, call, call.result().get("items", []) + ours)


@operation("apigateway", "GetDomainName")
def get_domain_name_of_version_1(world: World, call: Call) -> Any:
    domain = world.domains.get(call.params["domainName"])
    return _as_version_1(domain) if domain is not None and domain.region == call.region else call.moto()


@operation("apigateway", "GetBasePathMappings")
def get_base_path_mappings_of_version_1(world: World, call: Call) -> Any:
    domain = world.domains.get(call.params["domainName"])
    if domain is None or domain.region != call.region:
        return call.moto()
    return page_of_version_1(
        world,
        call,
        [
            {
                "basePath": mapping["ApiMappingKey"] or "(none)",
                "restApiId": mapping["ApiId"],
                "stage": mapping["Stage"],
            }
            for mapping in domain.mappings.values()
            # Version 1 knows keys of one level only.
            if "/" not in mapping["ApiMappingKey"]
        ],
    )


# --- seed and account


def seed_domains(world: World, wanted: list[dict[str, Any]], region: str, api_id: str | None) -> dict[str, Any]:
    """Creates domain names. Mappings and rules without an API lead to the one with this ID."""
    from .client_calls import call

    def ask(operation: str, **parameters: Any) -> dict[str, Any]:
        return call(world, SERVICE, operation, parameters, region)

    found = {}
    for one in wanted:
        name = {"DomainName": one["name"]}
        ask(
            "CreateDomainName",
            **name,
            RoutingMode=one.get("routing_mode", "API_MAPPING_ONLY"),
            Tags=one.get("tags", {}),
        )
        mappings, rules = {}, []
        for mapping in one.get("mappings", []):
            target = {"ApiId": mapping.get("api", api_id), "Stage": mapping["stage"]}
            made = ask("CreateApiMapping", **name, **target, ApiMappingKey=mapping.get("key", ""))
            mappings[mapping.get("key", "")] = made["ApiMappingId"]
        for number, rule in enumerate(one.get("rules", []), start=1):
            target = {"ApiId": rule.get("api", api_id), "Stage": rule["stage"]}
            target["StripBasePath"] = bool(rule.get("strip_base_path"))
            conditions: list[dict[str, Any]] = []
            if rule.get("base_paths"):
                conditions.append({"MatchBasePaths": {"AnyOf": rule["base_paths"]}})
            for header, glob in rule.get("headers", {}).items():
                conditions.append({"MatchHeaders": {"AnyOf": [{"Header": header, "ValueGlob": glob}]}})
            made = ask(
                "CreateRoutingRule",
                **name,
                Actions=[{"InvokeApi": target}],
                Conditions=conditions,
                Priority=rule.get("priority", number),
            )
            rules.append(made["RoutingRuleId"])
        found[one["name"]] = {"mappings": mappings, "rules": rules}
    return found


def listing(world: World, region: str) -> list[dict[str, Any]]:
    """The domain names with their mappings and rules."""
    return [
        {
            **domain.shown,
            "Mappings": [mapping for _, mapping in sorted(domain.mappings.items())],
            "Rules": [rule for _, rule in sorted(domain.rules.items())],
        }
        for _, domain in sorted(_all(world, region).items())
    ]
