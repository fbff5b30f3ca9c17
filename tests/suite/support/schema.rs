//! Whether a real answer has the form that `/openapi.json` gives it.

use serde_json::{Value, json};

use super::Answer;

/// What the schema has against the value; empty when it fits. As much of JSON Schema as the description uses, and stricter
/// in one thing: a member that no schema describes is a mistake.
fn complaints(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return complaints(root, root.pointer(&reference[1..]).unwrap(), value);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[word].as_array() {
            let tried: Vec<_> = choices.iter().map(|choice| complaints(root, choice, value)).collect();
            let fits = tried.iter().any(Vec::is_empty);
            return if fits { Vec::new() } else { tried.concat() };
        }
    }
    let mut found = Vec::new();
    if let Some(parts) = schema["allOf"].as_array() {
        return all_of(root, parts, value);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind, value)) {
        found.push(format!("{value} is not of {kinds:?}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{value} is none of {words:?}"));
    }
    if let (Some(described), Some(members)) = (schema["properties"].as_object(), value.as_object()) {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(name.as_str().unwrap()) {
                found.push(format!("{name} is missing"));
            }
        }
        for (name, member) in members {
            match described.get(name) {
                Some(schema) => found.extend(
                    complaints(root, schema, member)
                        .iter()
                        .map(|it| format!("{name}: {it}")),
                ),
                None => found.push(format!("{name} is not described")),
            }
        }
    }
    for item in value.as_array().into_iter().flatten() {
        if schema["items"].is_object() {
            found.extend(complaints(root, &schema["items"], item));
        }
    }
    found
}

/// Each part describes some members; together they must describe all.
fn all_of(root: &Value, parts: &[Value], value: &Value) -> Vec<String> {
    let mut together = json!({ "type": "object", "properties": {}, "required": [] });
    for part in parts {
        let part = part["$ref"]
            .as_str()
            .map_or(part, |reference| root.pointer(&reference[1..]).unwrap());
        for (name, schema) in part["properties"].as_object().into_iter().flatten() {
            together["properties"][name] = schema.clone();
        }
        let required = part["required"].as_array().into_iter().flatten().cloned();
        together["required"].as_array_mut().unwrap().extend(required);
    }
    complaints(root, &together, value)
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("a type of no schema: {other}"),
    }
}

/// Checks an answer against what is described for its route, method, status and content type.
#[track_caller]
pub fn fits(root: &Value, route: &str, method: &str, answer: &Answer) {
    let place = format!("{method} {route} {}", answer.status);
    let response = &root["paths"][route][method.to_lowercase()]["responses"][answer.status.to_string()];
    let response = response["$ref"]
        .as_str()
        .map_or(response, |reference| root.pointer(&reference[1..]).unwrap());
    assert!(response.is_object(), "{place} is not described");
    for name in response["headers"]
        .as_object()
        .into_iter()
        .flat_map(|headers| headers.keys())
    {
        let only_sometimes = ["Preference-Applied", "X-Poll-Interval", "RateLimit", "RateLimit-Policy"];
        assert!(
            only_sometimes.contains(&name.as_str()) || answer.has_header(name),
            "{place}: no {name}"
        );
    }
    if answer.text.is_empty() {
        return;
    }
    let kind = answer.header("content-type");
    let described = &response["content"][kind]["schema"];
    assert!(described.is_object(), "{place}: {kind} is not described");
    let is_json = kind == "application/json" || kind.ends_with("+json");
    let value = if is_json { answer.json() } else { json!(answer.text) };
    let found = complaints(root, described, &value);
    assert!(found.is_empty(), "{place}: {found:?}\n{}", answer.text);
}
