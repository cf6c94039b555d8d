//! Compiles the BPF objects of the tests and the benchmarks (feature `kernel`), with the options
//! that the build script of `sysfsm` uses for the objects of the tool.

fn main() {
    #[cfg(feature = "kernel")]
    skeletons();
}

#[cfg(feature = "kernel")]
const OBJECTS: [&str; 4] = ["count_test", "empty", "record_test", "step_test"];

#[cfg(feature = "kernel")]
#[allow(clippy::expect_used)] // A build script that cannot go on has nobody else to say so to.
fn skeletons() {
    use std::env;
    use std::path::PathBuf;

    println!("cargo::rerun-if-changed=../../bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let clang = env::var_os("DEP_SYSFSM_CLANG").expect("sysfsm was built with its kernel side");
    let options = env::var("DEP_SYSFSM_CLANG_OPTIONS").expect("as DEP_SYSFSM_CLANG");
    for object in OBJECTS {
        // Claims a cell by compare-and-swap, as `record` does (build.rs of sysfsm).
        let cpu = if object == "record_test" { "v3" } else { "generic" };
        let source = format!("../../bpf/tests/{object}.bpf.c");
        libbpf_cargo::SkeletonBuilder::new()
            .source(&source)
            .obj(out.join(format!("{object}.bpf.o")))
            .clang(&clang)
            .clang_args(options.split('\t').map(str::to_string).chain([format!("-mcpu={cpu}")]))
            .build_and_generate(out.join(format!("{object}.skel.rs")))
            .unwrap_or_else(|e| panic!("cannot build `{source}`: {e:#}"));
    }
}
