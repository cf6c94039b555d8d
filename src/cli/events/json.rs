//! Events as JSON: one object a line, its first key `event`.

use crate::cli::events::event::Event;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len() + 1))?;
        map.serialize_entry("event", self.kind.as_str())?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Event {
    /// The line, without its end.
    pub(crate) fn to_json(&self) -> String {
        crate::text::json(self)
    }
}
