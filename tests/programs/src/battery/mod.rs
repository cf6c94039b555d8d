//! The battery: forbidden calls, each with an effect outside of the process that makes it. The
//! attacker makes the calls; the driver (tests/veto/battery) looks for the effects.

pub mod attacker;
pub mod call;
pub mod crowd;
pub mod helper;
pub mod outside;
pub mod stage;
pub mod table;
