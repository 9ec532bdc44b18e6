//! The schema against what is really read.

use std::fmt::Write;

use serde_json::Value;

use super::{
    super::{schema, tenant_schema},
    LEAST, read,
};

/// A validator of as much of JSON schema as ours uses; what it does not know is a failure.
fn valid(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let Some(object) = schema.as_object() else {
        return if schema == &Value::Bool(true) {
            Ok(())
        } else {
            Err(format!("{value} is not allowed"))
        };
    };
    for (key, rule) in object {
        match key.as_str() {
            "$schema"
            | "$defs"
            | "title"
            | "description"
            | "default"
            | "format"
            | "additionalProperties" => {}
            "$ref" => {
                let pointer = rule
                    .as_str()
                    .and_then(|r| r.strip_prefix('#'))
                    .ok_or("a foreign reference")?;
                valid(
                    value,
                    root.pointer(pointer).ok_or(format!("dangling {pointer}"))?,
                    root,
                )?;
            }
            "type" if !is(value, rule.as_str().ok_or("one type")?) => {
                return Err(format!("{value} is not {rule}"));
            }
            "type" => {}
            "anyOf" | "oneOf" => {
                let shapes = rule.as_array().ok_or("a list")?;
                let fits = shapes
                    .iter()
                    .filter(|shape| valid(value, shape, root).is_ok())
                    .count();
                if fits == 0 || (key == "oneOf" && fits > 1) {
                    return Err(format!("{value} fits {fits} of {key}"));
                }
            }
            "not" if valid(value, rule, root).is_ok() => {
                return Err(format!("{value} fits what it must not"));
            }
            "not" => {}
            "const" if value != rule => return Err(format!("{value} is not {rule}")),
            "const" => {}
            "enum" if !rule.as_array().is_some_and(|all| all.contains(value)) => {
                return Err(format!("{value} not in {rule}"));
            }
            "enum" => {}
            "minimum" if value.as_f64() < rule.as_f64() => return Err(format!("{value} < {rule}")),
            "maximum" if value.is_number() && value.as_f64() > rule.as_f64() => {
                return Err(format!("{value} > {rule}"));
            }
            "minimum" | "maximum" => {}
            "pattern" => {
                let regex = regex::Regex::new(rule.as_str().ok_or("a pattern")?)
                    .map_err(|e| e.to_string())?;
                if value.as_str().is_some_and(|text| !regex.is_match(text)) {
                    return Err(format!("{value} does not match {rule}"));
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    valid(item, rule, root)?;
                }
            }
            "required" => {
                let keys = rule
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str);
                for key in keys {
                    value.get(key).ok_or(format!("{key} is missing"))?;
                }
            }
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    match (rule.get(name), object.get("additionalProperties")) {
                        (Some(rule), _) => {
                            valid(value, rule, root).map_err(|e| format!("{name}: {e}"))?
                        }
                        (None, Some(Value::Bool(false))) => {
                            return Err(format!("{name} is unknown"));
                        }
                        (None, _) => {}
                    }
                }
            }
            unknown => return Err(format!("the schema uses {unknown}")),
        }
    }
    match (
        object.get("properties"),
        object.get("additionalProperties"),
        value.as_object(),
    ) {
        (None, Some(rule), Some(entries)) => entries
            .values()
            .try_for_each(|value| valid(value, rule, root)),
        _ => Ok(()),
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}

fn check(text: &str) -> Result<(), String> {
    let schema = schema();
    let value: Value = toml::from_str(text).map_err(|e| e.to_string())?;
    valid(&value, &schema, &schema)
}

/// The tables of a file that has every table with a default in it.
const TABLES: [(&str, &str); 10] = [
    ("", "Config"),
    ("[log.error]", "ErrorLogTable"),
    ("[[listener]]\nbind = \"127.0.0.1:0\"", "ListenerTable"),
    ("[limits]", "LimitsTable"),
    ("[limits.policy]", "PolicyLimitsTable"),
    ("[admin]", "AdminTable"),
    ("[[vhost]]\nname = \"a.example\"", "VhostTable"),
    (
        "[[vhost.route]]\npath = \"/\"\nbalancer = \"app\"",
        "RouteTable",
    ),
    ("[vhost.route.reverse]", "ReverseTable"),
    (
        "[balancer.app]\nmembers = [{ url = \"http://a\" }]\n[balancer.app.health]",
        "HealthTable",
    ),
];

fn with_tables(keys: impl Fn(&str) -> String) -> String {
    let mut text = String::from("version = 1\n");
    for (header, table) in TABLES {
        // A balancer's own keys come before its health.
        let header = header.replace(
            "\n[balancer.app.health]",
            &format!("\n{}[balancer.app.health]", keys("BalancerTable")),
        );
        let header = if table == "HealthTable" {
            header
        } else {
            header.replace("[balancer.app.health]", "")
        };
        write!(text, "{header}\n{}", keys(table)).expect("a string takes all");
    }
    text
}

/// A file in which every key that the schema gives a default has it.
pub fn with_every_default() -> String {
    let schema = schema();
    with_tables(|table| {
        let definition = if table == "Config" {
            &schema
        } else {
            &schema["$defs"][table]
        };
        let properties = definition["properties"].as_object().expect("properties");
        let mut keys = String::new();
        for (key, property) in properties {
            let strays = table == "RouteTable" && key == "index";
            if let Some(default) = property.get("default").filter(|_| !strays) {
                writeln!(keys, "{key} = {default}").expect("a string takes all");
            }
        }
        assert!(!keys.is_empty(), "{table} has no defaults");
        keys
    })
}

/// The same file without them.
pub fn with_no_default() -> String {
    with_tables(|_| String::new())
}

#[test]
fn the_example_is_valid() {
    check(include_str!("../../../../examples/switchyard.toml")).expect("valid");
}

#[test]
fn what_is_read_is_valid_and_what_is_not_is_not() {
    check(LEAST).expect("valid");
    check(&with_every_default()).expect("valid");
    for bad in [
        "via = 5\n",
        "unknown = 1\n",
        "drain_deadline = \"30\"\n",
        "drain_deadline = 30\n",
        "[limits]\nhead_size = \"x\"\n",
        "[limits]\nfield_cnt = 1\n",
        "[balancer.b]\nlbmethod = 5\n",
        "[balancer.b]\nmembers = [{ route = \"a\" }]\n",
        "[balancer.b]\nmembers = [{ url = \"http://a\", loadfactor = 0 }]\n",
        "[balancer.b]\nmembers = [{ url = \"http://a\", status = \"up\" }]\n",
        "[policy.p]\nconfig = {}\n",
    ] {
        let text = match bad.starts_with('[') {
            true => format!("{LEAST}{bad}"),
            false => format!("{bad}{LEAST}"),
        };
        assert!(check(&text).is_err(), "the schema takes {bad}");
        assert!(read(&text).is_err(), "{bad} is taken");
    }
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    let definitions = schema["$defs"].as_object().expect("definitions").values();
    for table in definitions
        .chain([&schema])
        .filter(|d| d.get("properties").is_some())
    {
        for (key, property) in table["properties"].as_object().expect("properties") {
            assert!(property.get("description").is_some(), "{key}");
        }
    }
}

fn check_tenant(text: &str) -> Result<(), String> {
    let schema = tenant_schema();
    let value: Value = toml::from_str(text).map_err(|e| e.to_string())?;
    valid(&value, &schema, &schema)
}

#[test]
fn tenants_schema_takes_what_their_page_shows() {
    let page = include_str!("../../../../docs/tenants.md");
    let blocks = page.split("```toml\n").skip(1);
    let blocks: Vec<_> = blocks
        .filter_map(|block| block.split("\n```").next())
        .collect();
    let theirs: Vec<_> = blocks
        .iter()
        .filter(|block| block.starts_with("[[vhost]]"))
        .collect();
    assert_eq!(theirs.len(), 2);
    for block in theirs {
        check_tenant(block).unwrap();
    }
    // The operator's own is none of theirs.
    assert!(check_tenant(blocks[0]).is_err());
}

#[test]
fn tenants_schema_has_no_room_for_what_is_the_operators() {
    let good = "[[vhost]]\nname = \"a.example\"\n";
    check_tenant(good).unwrap();
    for (key, bad) in [
        ("listener", "[[listener]]\nbind = \"127.0.0.1:0\""),
        ("admin", "[admin]\nlisten = \"127.0.0.1:0\""),
        ("limits", "[limits]\nconnections = 1"),
        ("tenant", "[tenant.b]\nrequests = 1"),
        ("each_tenant", "[each_tenant]\nrequests = 1"),
        ("vhosts", "[vhosts]"),
        ("balancer", "[balancer.a]\nmembers = 1"),
    ] {
        let why = check_tenant(&format!("{good}{bad}\n")).unwrap_err();
        assert!(why.starts_with(key), "{key}: {why}");
    }
}
