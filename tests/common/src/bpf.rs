//! The BPF objects of the tests and the benchmarks: skeletons of what build.rs has compiled.

macro_rules! skeleton {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs, unsafe_code)]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".skel.rs"));
        }
    };
}

skeleton!(
    /// Counts calls.
    count_test
);
skeleton!(
    /// Programs that do nothing.
    empty
);
skeleton!(
    /// The step of `record`, driven from outside.
    record_test
);
skeleton!(
    /// The step of `enforce`, driven from outside.
    step_test
);
