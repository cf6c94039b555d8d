//! Real servers on the rare paths of their operation, from watching to enforcing. How long a server
//! has to be watched until chance brings nothing new is chance itself, so that this is no part of
//! `make test`: `make test-rare`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

mod servers;
