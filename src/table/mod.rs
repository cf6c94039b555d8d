//! Machine → dense tables.
