//! `behave` has neither a runtime nor libraries: it makes no call but those that it writes down.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in ["-nostartfiles", "-no-pie", "-Wl,--no-dynamic-linker", "-Wl,--strip-debug"] {
        println!("cargo::rustc-link-arg-bin=behave={argument}");
    }
}
