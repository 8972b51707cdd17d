//! A deployed stack that another user changes manually.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{TestAws, Workplace, assert_same, standing};

/// A deployed stack whose resources a test changes as another user.
pub struct Stack {
    pub aws: TestAws,
    pub workplace: Workplace,
    /// The account before the stack.
    pub before: Value,
    /// The account with the stack in its intended state.
    pub whole: Value,
}

/// A manual change: a description, a function that makes it, and the exact set of resources that become unhealthy.
pub type Drift = (&'static str, fn(&Stack), &'static [&'static str]);

impl Stack {
    pub fn new() -> Self {
        let before = TestAws::seeded().account();
        let (aws, workplace) = standing();
        let whole = aws.account();
        Self {
            aws,
            workplace,
            before,
            whole,
        }
    }

    /// The resource in the account that has this logical ID.
    pub fn find(&self, list: &str, id: &str) -> Value {
        let account = self.aws.account();
        let all = account[list].as_array().expect("a list");
        let ours = |item: &&Value| {
            item["tags"]["threescale-gw:resource"] == id
                && item["tags"]["threescale-gw:stack"] == "orders"
        };
        all.iter()
            .find(ours)
            .unwrap_or_else(|| panic!("{id}"))
            .clone()
    }

    /// The physical ID of an EC2 resource.
    pub fn id(&self, list: &str, id: &str) -> String {
        self.find(list, id)["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    pub fn ec2(&self, operation: &str, parameters: Value) -> Value {
        self.aws.call("ec2", operation, parameters)
    }

    pub fn lambda(&self, operation: &str, mut parameters: Value) -> Value {
        parameters["FunctionName"] = json!("threescale-gw-orders-authorizer");
        self.aws.call("lambda", operation, parameters)
    }

    /// The association of a subnet with its route table.
    pub fn association(&self, subnet: &str) -> String {
        let subnet = self.id("subnets", subnet);
        let filter = json!({"Filters": [{"Name": "association.subnet-id", "Values": [subnet]}]});
        let tables = self.ec2("DescribeRouteTables", filter);
        let associations = tables["RouteTables"][0]["Associations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = associations
            .iter()
            .find(|found| found["SubnetId"] == subnet)
            .expect("an association");
        found["RouteTableAssociationId"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    pub fn delete_nat_gateway(&self) {
        let gateway = self.id("nat_gateways", "nat-gateway/a");
        self.ec2("DeleteNatGateway", json!({"NatGatewayId": gateway}));
    }

    /// The API's ID, and the methods of its draft by label.
    pub fn api(&self) -> (String, BTreeMap<String, Value>) {
        let account = self.aws.account();
        let apis = account["rest_apis"].as_array().expect("a list");
        let api = apis
            .iter()
            .find(|api| api["name"] == "orders-api")
            .expect("the API");
        let mut methods = BTreeMap::new();
        for resource in api["resources"].as_array().expect("a list") {
            for (verb, method) in resource["methods"].as_object().expect("a map") {
                let mut method = method.clone();
                method["resourceId"] = resource["id"].clone();
                methods.insert(
                    format!("{verb} {}", resource["path"].as_str().expect("a path")),
                    method,
                );
            }
        }
        (api["id"].as_str().expect("an id").to_owned(), methods)
    }

    /// Removes the authorization of a method in the draft.
    pub fn open(&self, label: &str) {
        let (id, methods) = self.api();
        let verb = label.split(' ').next().expect("a verb");
        let patches = json!([
            {"op": "replace", "path": "/authorizationType", "value": "NONE"},
            {"op": "replace", "path": "/authorizerId", "value": ""},
        ]);
        let resource = &methods[label]["resourceId"];
        let parameters = json!({"restApiId": id, "resourceId": resource, "httpMethod": verb, "patchOperations": patches});
        self.aws.call("apigateway", "UpdateMethod", parameters);
    }

    pub fn publish(&self) {
        let (id, _) = self.api();
        self.aws.call(
            "apigateway",
            "CreateDeployment",
            json!({"restApiId": id, "stageName": "prod"}),
        );
    }

    pub fn authorizer_id(&self) -> String {
        let (_, methods) = self.api();
        let found = methods
            .values()
            .find_map(|method| method["authorizerId"].as_str());
        found.expect("our authorizer").to_owned()
    }

    pub fn status(&self) -> (Option<i32>, Value) {
        let run = self.workplace.run(&["status", "-o", "json", "--exit-code"]);
        (run.code, run.json())
    }

    /// Makes one manual change. `status` must report exactly its effects, and `up` must repair them.
    #[track_caller]
    pub fn repairs(&self, (what, happen, spoils): &Drift) -> Value {
        happen(self);
        let (code, status) = self.status();
        assert_eq!(
            unhealthy(&status),
            spoils.iter().map(|id| (*id).to_owned()).collect(),
            "{what}: {status}"
        );
        assert_eq!(
            (code, &status["healthy"]),
            (Some(3), &json!(false)),
            "{what}"
        );
        let plan = self.workplace.run(&["plan", "--exit-code"]);
        assert_eq!(plan.code, Some(3), "{what}: {}", plan.stdout);
        for id in *spoils {
            assert!(
                plan.stdout.contains(id),
                "{what}: {id} is not in\n{}",
                plan.stdout
            );
        }
        let up = self.workplace.run(&["up", "--yes"]);
        assert_eq!(up.code, Some(0), "{what}: {}", up.stderr);
        let (code, after) = self.status();
        assert_eq!(
            (code, unhealthy(&after)),
            (Some(0), BTreeSet::new()),
            "{what}: {after}"
        );
        status
    }

    /// Deletes the stack, which must leave nothing behind.
    pub fn end(self) {
        self.workplace.succeed(&["down", "--yes"]);
        assert_same(&self.before, &self.aws.account());
    }
}

/// The resources that are not healthy.
pub fn unhealthy(status: &Value) -> BTreeSet<String> {
    let resources = status["resources"].as_array().expect("a list").iter();
    resources
        .filter(|resource| resource["health"] != "healthy")
        .map(|resource| resource["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// The methods that require a credential.
pub fn protected(status: &Value) -> BTreeSet<String> {
    let methods = status["api"]["methods"].as_array().expect("a list").iter();
    methods
        .filter(|method| method["protected"] == true)
        .map(|method| {
            format!(
                "{} {}",
                method["method"].as_str().unwrap_or("?"),
                method["path"].as_str().unwrap_or("?")
            )
        })
        .collect()
}

pub const PROTECTED: [&str; 4] = [
    "ANY /files/{proxy+}",
    "GET /orders",
    "GET /orders/{id}",
    "POST /orders",
];

pub fn all_but(open: &[&str]) -> BTreeSet<String> {
    let left = PROTECTED.iter().filter(|label| !open.contains(label));
    left.map(|label| (*label).to_owned()).collect()
}
