//! The resources that a simulation of IAM asks about. Pure.
//!
//! They are those that requests of the program name, without wildcards: a policy that was written by hand may allow only a
//! part of what the policies of this program allow.

use super::scope::{Collection, Scope};
use super::table::On;

/// The types of EC2's resources, and how their ids begin. Source: Service Authorization Reference; Amazon EC2 User Guide,
/// "Resource IDs".
const EC2: [(&str, &str); 12] = [
    ("elastic-ip", "eipalloc"),
    ("image", "ami"),
    ("instance", "i"),
    ("internet-gateway", "igw"),
    ("natgateway", "nat"),
    ("network-interface", "eni"),
    ("route-table", "rtb"),
    ("security-group", "sg"),
    ("subnet", "subnet"),
    ("volume", "vol"),
    ("vpc", "vpc"),
    ("vpc-endpoint", "vpce"),
];

/// An id where any one is an example.
const ID: &str = "0123456789abcdef0";

impl Scope {
    /// Examples of the resources of a statement. Empty if no resource is known, or any counts.
    pub fn examples(&self, on: On) -> Vec<String> {
        let names = &self.names;
        let functions = ["authorizer", "reporter"].into_iter();
        match on {
            On::Api => self.examples_of_api(),
            On::Parameter => self.examples_of_parameters(),
            On::Function => functions
                .flat_map(|name| [names.function_arn(name), names.live_arn(name)])
                .collect(),
            On::LogGroup => functions.map(|name| names.log_group_arn(name)).collect(),
            On::Rule => vec![names.rule_arn()],
            On::Cache => self.examples_of_caches(),
            On::ImageParameter => {
                let path = "parameter/aws/service/ami-amazon-linux-latest";
                let image = |of| format!("{path}/al2023-ami-kernel-default-{of}");
                ["arm64", "x86_64"]
                    .map(|of| self.public("ssm", &image(of)))
                    .into()
            }
            _ => {
                let patterns = self.resources(on).into_iter();
                patterns.flat_map(without_wildcard).collect()
            }
        }
    }

    /// What the program reads and changes of the API.
    fn examples_of_api(&self) -> Vec<String> {
        let Some(api) = &self.api else {
            return Vec::new();
        };
        let of = |collection: &Collection| match collection {
            Collection::RestApis => self.parts_of_rest_api(),
            Collection::Apis => self.parts_of_api(),
        };
        let arns = self.collections.iter().flat_map(|collection| {
            let path = collection.path();
            let parts = of(collection).into_iter();
            parts.map(move |part| self.public("apigateway", &format!("{path}/{api}{part}")))
        });
        arns.collect()
    }

    fn parts_of_rest_api(&self) -> Vec<String> {
        let methods = ["ANY", "DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"];
        let methods = methods.map(|verb| format!("/resources/{ID}/methods/{verb}"));
        let parts = [
            "",
            "/authorizers",
            "/deployments",
            "/gatewayresponses",
            "/gatewayresponses/UNAUTHORIZED",
            "/resources",
            "/stages",
        ];
        let parts = parts.map(str::to_owned).into_iter();
        let named = ["authorizers", "deployments"].map(|part| format!("/{part}/{ID}"));
        let of_stage = |stage: &str| {
            [
                format!("/stages/{stage}"),
                format!("/stages/{stage}/exports/oas30"),
            ]
        };
        let stages = self.stages_or("prod").into_iter().flat_map(of_stage);
        let all = parts.chain(named).chain(methods).chain(stages);
        all.collect()
    }

    /// Those of an HTTP or WebSocket API.
    fn parts_of_api(&self) -> Vec<String> {
        let stages = self.stages_or("$default").into_iter();
        let stages = stages.map(|stage| format!("/stages/{stage}"));
        let lists = ["authorizers", "deployments", "routes"];
        let lists = lists.map(|list| [format!("/{list}"), format!("/{list}/{ID}")]);
        let others = ["", "/stages", "/exports/OAS30"].map(str::to_owned);
        let lists = lists.into_iter().flatten();
        let all = lists.chain(others).chain(stages);
        all.collect()
    }

    /// The stages, or this one if they are not known.
    fn stages_or<'a>(&'a self, usual: &'a str) -> Vec<&'a str> {
        match self.stages.as_slice() {
            [] => vec![usual],
            stages => stages.iter().map(String::as_str).collect(),
        }
    }

    /// What the stack stores, and the locks.
    fn examples_of_parameters(&self) -> Vec<String> {
        let of_stack = [
            "lock",
            "cache-endpoint",
            "secrets/hash-key",
            "secrets/service-token",
        ];
        let mut paths = vec![self.names.parameters()];
        paths.extend(of_stack.map(|name| self.names.parameter(name)));
        if let Some(api) = &self.api {
            for stage in self.stages_or("prod") {
                // No name of a parameter has a `$`.
                let stage = stage.replace('$', "");
                let record = format!("attachment/{api}/{stage}/head");
                paths.push(self.names.parameter(&record));
            }
            paths.push(self.names.of_api(api).parameter("lock"));
        }
        let arns = paths.iter();
        arns.map(|path| self.arn("ssm", &format!("parameter{path}")))
            .collect()
    }

    fn examples_of_caches(&self) -> Vec<String> {
        let cache = self.names.cache(0);
        let kinds = ["replicationgroup", "serverlesscache", "user", "usergroup"];
        let caches = kinds.map(|kind| self.names.cache_arn(kind, &cache));
        let group = self.names.cache_subnet_group(0);
        let subnets = self.names.cache_arn("subnetgroup", &group);
        let defaults = self.arn("elasticache", "parametergroup:default.redis7");
        caches.into_iter().chain([subnets, defaults]).collect()
    }
}

/// The ARNs of a pattern of [`Scope::resources`]: the types of EC2's resources, or the ARN itself.
fn without_wildcard(pattern: String) -> Vec<String> {
    let Some((start, kind)) = pattern
        .strip_suffix("/*")
        .and_then(|start| start.rsplit_once(':'))
    else {
        return match pattern.contains('*') {
            true => Vec::new(),
            false => vec![pattern],
        };
    };
    let types = EC2.into_iter();
    types
        .filter(|(of, _)| kind == "*" || kind == *of)
        .map(|(of, id)| format!("{start}:{of}/{id}-{ID}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;

    #[test]
    fn the_examples_are_real_resources() {
        let scope = Scope::of_stack(Names::new("orders", "us-east-1", "123456789012"));
        assert_eq!(scope.examples(On::Api), [""; 0]);
        let http = scope.clone().with_api("a1b2c3d4e5", Collection::Apis);
        let mut both = scope.clone();
        both.api = Some("a1b2c3d4e5".to_owned());
        let scope = scope.with_api("a1b2c3d4e5", Collection::RestApis);
        for (on, arn) in [
            (
                On::Api,
                "arn:aws:apigateway:us-east-1::/restapis/a1b2c3d4e5/stages/prod",
            ),
            (
                On::Api,
                "arn:aws:apigateway:us-east-1::/restapis/a1b2c3d4e5/resources/0123456789abcdef0/methods/GET",
            ),
            (
                On::Parameter,
                "arn:aws:ssm:us-east-1:123456789012:parameter/threescale-gw/orders/lock",
            ),
            (
                On::Parameter,
                "arn:aws:ssm:us-east-1:123456789012:parameter/threescale-gw/orders/attachment/a1b2c3d4e5/prod/head",
            ),
            (
                On::Parameter,
                "arn:aws:ssm:us-east-1:123456789012:parameter/threescale-gw/_apis/a1b2c3d4e5/lock",
            ),
            (
                On::With,
                "arn:aws:ec2:us-east-1::image/ami-0123456789abcdef0",
            ),
            (
                On::Own,
                "arn:aws:ec2:us-east-1:123456789012:natgateway/nat-0123456789abcdef0",
            ),
            (
                On::Rule,
                "arn:aws:events:us-east-1:123456789012:rule/threescale-gw-orders-reporter",
            ),
            (
                On::Role,
                "arn:aws:iam::123456789012:role/threescale-gw/threescale-gw-orders-us-east-1",
            ),
        ] {
            let examples = scope.examples(on);
            assert!(examples.iter().any(|one| one == arn), "{arn}: {examples:?}");
        }
        let route = "arn:aws:apigateway:us-east-1::/apis/a1b2c3d4e5/routes/0123456789abcdef0";
        let method = "arn:aws:apigateway:us-east-1::/restapis/a1b2c3d4e5/resources/0123456789abcdef0/methods/GET";
        let has = |scope: &Scope, arn: &str| scope.examples(On::Api).iter().any(|one| one == arn);
        assert!(has(&http, route) && !has(&http, method));
        assert!(has(&both, route) && has(&both, method));
        assert!(!has(&scope, route));
    }
}
