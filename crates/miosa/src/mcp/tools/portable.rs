//! Schemas as the pickiest clients take them: some models' vendors know one type a field, and few formats.
//!
//! A field that may be left out is declared with its one type; `null` is taken for it all the same.

use rmcp::model::{JsonObject, Tool};
use serde_json::Value;

/// Makes a tool's description one line, and its schema portable.
pub fn make(tool: &mut Tool) {
    if let Some(words) = &tool.description {
        tool.description = Some(words.replace('\n', " ").into());
    }
    let mut schema = JsonObject::clone(&tool.input_schema);
    schema.remove("$schema");
    if let Some(Value::Object(fields)) = schema.get_mut("properties") {
        for field in fields.values_mut().filter_map(Value::as_object_mut) {
            simplify(field);
        }
    }
    tool.input_schema = schema.into();
}

fn simplify(field: &mut JsonObject) {
    field.remove("format");
    if let Some(Value::String(words)) = field.get_mut("description") {
        *words = words.replace('\n', " ");
    }
    let Some(Value::Array(types)) = field.get_mut("type") else {
        return;
    };
    types.retain(|one| one != "null");
    if let [one] = types.as_slice() {
        let one = one.clone();
        field.insert("type".to_owned(), one);
    }
}
