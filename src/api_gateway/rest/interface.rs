//! What a method accepts: its parameters, its request validator and the models of a validated body, in one form for the
//! draft and the export of a stage. Pure, except for [`validation`].
//!
//! What only describes a method is left out: its operation name, documentation and responses, of which the integration's
//! responses decide. So are its path parameters, because the path decides of them.
//! Source: Amazon API Gateway REST API reference (`Method`) and the OpenAPI extensions `x-amazon-apigateway-request-validator`
//! and `-request-validators`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::definition::{self, put};
use crate::aws::paginate::pages;
use crate::aws::{AwsError, optional};
use crate::resource::Context;

/// The properties of a method by name, without those that have their default value.
pub type Interface = BTreeMap<String, Value>;

const PARAMETERS: &str = "parameters";
const MODELS: &str = "request models";
const VALIDATOR: &str = "request validator";

const EXTENSION: &str = "x-amazon-apigateway-";
/// The extensions of an operation that are read elsewhere. `auth` says what `security` says.
const KNOWN_EXTENSIONS: [&str; 3] = ["auth", "integration", "request-validator"];
/// The members of a method in a listing that are read, and those that only describe it.
const KNOWN_MEMBERS: [&str; 11] = [
    "apiKeyRequired",
    "authorizationScopes",
    "authorizationType",
    "authorizerId",
    "httpMethod",
    "methodIntegration",
    "methodResponses",
    "operationName",
    "requestModels",
    "requestParameters",
    "requestValidatorId",
];

/// Converts a method from the service's listing. Its validator is named by its id.
pub fn drafted(method: &Value) -> Interface {
    let mut found = Interface::new();
    let declared = method["requestParameters"].as_object();
    let parameters: Map<String, Value> = declared
        .into_iter()
        .flatten()
        .filter(|(name, _)| !name.starts_with("method.request.path."))
        .map(|(name, required)| (definition::header(name), json!(is_true(required))))
        .collect();
    put(&mut found, PARAMETERS, parameters.into());
    let models = method["requestModels"].as_object().into_iter().flatten();
    let models: BTreeSet<_> = models.filter_map(|(_, model)| model.as_str()).collect();
    put(&mut found, MODELS, json!(models));
    put(&mut found, VALIDATOR, method["requestValidatorId"].clone());
    for (name, value) in method.as_object().into_iter().flatten() {
        if !KNOWN_MEMBERS.contains(&name.as_str()) && !name.starts_with('_') && !is_false(value) {
            put(&mut found, &kebab(name), definition::text(value));
        }
    }
    found
}

/// Converts an operation from an export. `document` has the validator of operations without one.
pub fn exported(operation: &Value, document: &Value) -> Interface {
    let mut found = Interface::new();
    let (mut parameters, mut models) = (Map::new(), BTreeSet::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        let place = match parameter["in"].as_str().unwrap_or_default() {
            "query" => "querystring",
            "header" => "header",
            "body" => {
                models.insert(reference(&parameter["schema"]).unwrap_or(name));
                continue;
            }
            _ => continue,
        };
        let name = definition::header(&format!("method.request.{place}.{name}"));
        parameters.insert(name, json!(is_true(&parameter["required"])));
    }
    put(&mut found, PARAMETERS, parameters.into());
    put(&mut found, MODELS, json!(models));
    let validator = format!("{EXTENSION}request-validator");
    let validators = [&operation[&validator], &document[&validator]];
    let validator = validators.into_iter().find(|name| !name.is_null());
    put(
        &mut found,
        VALIDATOR,
        validator.cloned().unwrap_or_default(),
    );
    for (name, value) in operation.as_object().into_iter().flatten() {
        let extension = name.strip_prefix(EXTENSION);
        let extension = extension.filter(|name| !KNOWN_EXTENSIONS.contains(name));
        if let Some(name) = extension.filter(|_| !is_false(value)) {
            put(&mut found, name, definition::text(value));
        }
    }
    found
}

/// Whether a request validator is named.
pub fn is_validated(interface: &Interface) -> bool {
    interface.contains_key(VALIDATOR)
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}

/// Whether a member that is not known has the value that one has by default.
fn is_false(value: &Value) -> bool {
    value.as_bool() == Some(false)
}

/// The name of the model that a schema refers to.
fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// `camelCase` as an extension writes it.
fn kebab(name: &str) -> String {
    let mut found = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !found.is_empty() {
            found.push('-');
        }
        found.push(letter.to_ascii_lowercase());
    }
    found
}

/// A request validator: whether it checks the body, and whether the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    pub body: bool,
    pub parameters: bool,
}

/// The request validators and the models of an API.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Validation {
    /// By name.
    pub validators: BTreeMap<String, Validator>,
    /// Names by id; empty for an export, which has none.
    pub ids: BTreeMap<String, String>,
    /// Schemas by name, in one form.
    pub models: BTreeMap<String, Value>,
}

impl Validation {
    /// Reads the validators and models of an export.
    pub fn exported(document: &Value) -> Self {
        let validators = document[format!("{EXTENSION}request-validators")].as_object();
        let models = document["definitions"].as_object();
        Self {
            validators: validators
                .into_iter()
                .flatten()
                .map(|(name, validator)| {
                    let checks = |what: &str| is_true(&validator[what]);
                    let validator = Validator {
                        body: checks("validateRequestBody"),
                        parameters: checks("validateRequestParameters"),
                    };
                    (name.clone(), validator)
                })
                .collect(),
            ids: BTreeMap::new(),
            models: models
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), plain(schema)))
                .collect(),
        }
    }

    /// The effect of a method: with its validator by name, and its models only if the body is validated against them.
    pub fn effect(&self, interface: &Interface) -> Interface {
        let mut effect = interface.clone();
        if let Some(id) = effect.get(VALIDATOR).and_then(Value::as_str)
            && let Some(name) = self.ids.get(id)
        {
            effect.insert(VALIDATOR.to_owned(), json!(name));
        }
        if !self
            .validator(&effect)
            .is_some_and(|validator| validator.body)
        {
            effect.remove(MODELS);
        }
        effect
    }

    fn validator(&self, effect: &Interface) -> Option<Validator> {
        let name = effect.get(VALIDATOR)?.as_str()?;
        self.validators.get(name).copied()
    }

    /// The names of the models that bodies are validated against, with the models these refer to.
    fn models_of<'a>(&'a self, effects: impl Iterator<Item = &'a Interface>) -> BTreeSet<&'a str> {
        let mut names: Vec<&str> = effects
            .filter_map(|effect| effect.get(MODELS)?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut found = BTreeSet::new();
        while let Some(name) = names.pop() {
            if found.insert(name) {
                references(self.models.get(name).unwrap_or(&Value::Null), &mut names);
            }
        }
        found
    }

    /// Describes what differs between the validators and models that `effects` use here and in `other`.
    pub fn changes<'a>(&'a self, other: &Self, effects: &'a [Interface]) -> Vec<String> {
        let validators: BTreeSet<_> = effects
            .iter()
            .filter_map(|effect| effect.get(VALIDATOR)?.as_str())
            .collect();
        let validators = validators.into_iter().filter(|name| {
            let other = other.validators.get(*name);
            other.is_some_and(|other| self.validators.get(*name) != Some(other))
        });
        let models = self.models_of(effects.iter()).into_iter().filter(|name| {
            let pair = (self.models.get(*name), other.models.get(*name));
            matches!(pair, (Some(one), Some(other)) if one != other)
        });
        validators
            .map(|name| format!("request validator {name} changed"))
            .chain(models.map(|name| format!("model {name} changed")))
            .collect()
    }
}

/// Collects the models that a schema refers to.
fn references<'a>(schema: &'a Value, names: &mut Vec<&'a str>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        Value::Object(members) => {
            names.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| references(value, names));
        }
        _ => {}
    }
}

/// A schema without what only describes it, and with references by name: the draft and the export have different addresses.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => {
            let describes = ["$schema", "id", "$id", "title", "description", "example"];
            let members = members
                .iter()
                // A property may have one of these names; it is an object then.
                .filter(|(name, value)| !(describes.contains(&name.as_str()) && value.is_string()));
            let members = members.map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("$ref", Value::String(address)) => {
                        json!(address.rsplit('/').next().unwrap_or_default())
                    }
                    ("required", Value::Array(_)) => definition::sorted(value),
                    _ => plain(value),
                };
                (name.clone(), value)
            });
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// The request validators and models of the API's draft.
///
/// # Errors
/// The errors of the service.
pub async fn validation(cx: &Context, api_id: &str) -> Result<Validation, AwsError> {
    let validators = cx.aws().apigateway.get_request_validators();
    let validators = validators.rest_api_id(api_id).limit(500);
    let models = cx.aws().apigateway.get_models();
    let models = models.rest_api_id(api_id).limit(500);
    let validators = pages(|position| async {
        let request = validators.clone().set_position(position);
        let answer = optional(
            cx.aws()
                .call_idempotent("apigateway:GetRequestValidators", || request.clone().send())
                .await,
        )?;
        Ok(answer.map_or((None, None), |page| (page.items, page.position)))
    });
    let models = pages(|position| async {
        let request = models.clone().set_position(position);
        let answer = optional(
            cx.aws()
                .call_idempotent("apigateway:GetModels", || request.clone().send())
                .await,
        )?;
        Ok(answer.map_or((None, None), |page| (page.items, page.position)))
    });
    let (validators, models) = tokio::try_join!(validators, models)?;
    let mut found = Validation::default();
    for validator in validators {
        // Validators may share a name or have none; the id tells them apart.
        let id = validator.id.unwrap_or_default();
        let name = validator.name.unwrap_or_else(|| id.clone());
        let checks = Validator {
            body: validator.validate_request_body,
            parameters: validator.validate_request_parameters,
        };
        found.validators.insert(name.clone(), checks);
        found.ids.insert(id, name);
    }
    for model in models {
        let schema: Option<Value> = model
            .schema
            .and_then(|schema| serde_json::from_str(&schema).ok());
        if let (Some(name), Some(schema)) = (model.name, schema) {
            found.models.insert(name, plain(&schema));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Value {
        json!({
            "httpMethod": "POST", "authorizationType": "NONE", "apiKeyRequired": false, "operationName": "add", "_links": {},
            "requestValidatorId": "v1", "requestModels": {"application/json": "Order"},
            "requestParameters": {
                "method.request.querystring.page": true, "method.request.header.X-Id": false, "method.request.path.id": true,
            },
            "methodResponses": {"200": {"statusCode": "200"}}, "methodIntegration": {"type": "MOCK"},
        })
    }

    fn operation() -> Value {
        json!({
            "operationId": "add", "consumes": ["application/json"], "responses": {}, "security": [],
            "parameters": [
                {"name": "page", "in": "query", "required": true, "type": "string"},
                {"name": "x-id", "in": "header", "required": false, "type": "string"},
                {"name": "id", "in": "path", "required": true, "type": "string"},
                {"name": "Order", "in": "body", "required": true, "schema": {"$ref": "#/definitions/Order"}},
            ],
            "x-amazon-apigateway-request-validator": "all", "x-amazon-apigateway-auth": {"type": "NONE"},
            "x-amazon-apigateway-integration": {"type": "mock"},
        })
    }

    /// The draft's and the stage's validators and models; `schema` is the stage's schema of the model `Item`.
    fn sides(schema: &Value) -> (Validation, Validation) {
        let all = Validator {
            body: true,
            parameters: true,
        };
        let address = "https://apigateway.amazonaws.com/restapis/a/models/Item";
        let order = json!({"$schema": "http://json-schema.org/draft-04/schema#", "title": "Order",
            "required": ["b", "a"], "properties": {"title": {"type": "string"}, "items": {"items": {"$ref": address}}}});
        let draft = Validation {
            validators: BTreeMap::from([("all".to_owned(), all)]),
            ids: BTreeMap::from([("v1".to_owned(), "all".to_owned())]),
            models: [("Order", order), ("Item", json!({"type": "object"}))]
                .map(|(name, schema)| (name.to_owned(), plain(&schema)))
                .into(),
        };
        let served = Validation::exported(&json!({
            "x-amazon-apigateway-request-validators": {"all": {"validateRequestBody": true, "validateRequestParameters": true}},
            "definitions": {
                "Order": {"required": ["a", "b"], "properties": {"title": {"type": "string"}, "items": {"items": {"$ref": "#/definitions/Item"}}}},
                "Item": schema,
            },
        }));
        (draft, served)
    }

    #[test]
    fn the_draft_and_the_export_of_one_method_are_equal() {
        let (draft_side, served) = sides(&json!({"type": "object", "description": "one"}));
        let one = draft_side.effect(&drafted(&draft()));
        assert_eq!(one, served.effect(&exported(&operation(), &json!({}))));
        assert_eq!(one.len(), 3);
        assert_eq!(
            draft_side.changes(&served, std::slice::from_ref(&one)),
            [""; 0]
        );
        // The validator of the whole document counts where an operation has none.
        let mut bare = operation();
        let validator = "x-amazon-apigateway-request-validator";
        bare.as_object_mut().expect("an object").remove(validator);
        let whole = exported(&bare, &json!({validator: "all"}));
        assert_eq!(one, served.effect(&whole));
        assert_eq!(drafted(&json!(null)), Interface::new());
    }

    #[test]
    fn every_member_with_an_effect_makes_two_methods_differ() {
        let (side, _) = sides(&json!({}));
        let full = side.effect(&drafted(&draft()));
        for (member, value, name) in [
            ("requestValidatorId", json!("v2"), VALIDATOR),
            ("requestModels", json!({"application/json": "Item"}), MODELS),
            ("requestParameters", json!({}), PARAMETERS),
            ("inventedIn2027", json!("x"), "invented-in2027"),
        ] {
            let mut changed = draft();
            changed[member] = value;
            let changed = side.effect(&drafted(&changed));
            assert_ne!(full.get(name), changed.get(name), "{member}");
        }
        let mut invented = operation();
        invented["x-amazon-apigateway-invented-in2027"] = json!("x");
        assert!(exported(&invented, &json!({})).contains_key("invented-in2027"));
    }

    #[test]
    fn a_model_has_an_effect_where_a_body_is_validated() {
        let (mut draft_side, served) = sides(&json!({"type": "array"}));
        let effect = draft_side.effect(&drafted(&draft()));
        let effects = [effect];
        assert_eq!(
            draft_side.changes(&served, &effects),
            ["model Item changed"]
        );
        let parameters_only = Validator {
            body: false,
            parameters: true,
        };
        draft_side
            .validators
            .insert("all".to_owned(), parameters_only);
        let effects = [draft_side.effect(&drafted(&draft()))];
        assert_eq!(
            draft_side.changes(&served, &effects),
            ["request validator all changed"]
        );
    }
}
